"""The sweep platform: which configuration trains which fold next, and what the evidence says."""

import os

# Read by MLflow when it is imported, or at each request; a user's own values win. Its defaults
# would call home, hold a process for minutes at a server that is gone (we try again anyway), print
# on our standard output, and take a model's requirements from a uv project that happens to be the
# working folder.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
}.items():
    os.environ.setdefault(_name, _value)
