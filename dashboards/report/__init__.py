"""The report: one page from a ledger."""
