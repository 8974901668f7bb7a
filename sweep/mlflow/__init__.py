"""The sweep in MLflow: a view of the ledger, the registry, packaged models."""
