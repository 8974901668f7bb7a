#!/usr/bin/env bash
# mlflow 3.17.2: a webhook with a secret, and no MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY. Each process then encrypts with a key that
# it makes itself (mlflow/store/model_registry/dbmodels/models.py, EncryptedString), without a word. No other process, and no
# server after a restart, can read the secret: listing webhooks raises an error without a message, and none is delivered.
# Here: docs/how-to/promote.md asks for the variable, tests/sweep/mlflow/test_webhooks.py sets it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mlflow==3.17.2
export MLFLOW_DISABLE_TELEMETRY=true
cat >"$folder/hooks.py" <<'PY'
import sys

import mlflow
from mlflow import MlflowClient

client = MlflowClient(f"sqlite:///{sys.argv[2]}")
if sys.argv[1] == "make":
    # An address of its own: a name would be looked up.
    client.create_webhook("hook", "https://93.184.216.34/", ["model_version_alias.created"], secret="known to both")
    print("mlflow", mlflow.__version__, "made a webhook with a secret")
    sys.exit()
try:
    found = [webhook.name for webhook in client.list_webhooks()]
except Exception as error:
    found = f"{type(error).__name__}({str(error)!r})"
print("another process lists:", found)
assert (found == ["hook"]) == (sys.argv[1] == "readable"), found
PY
hooks() { "$folder/venv/bin/python" -W ignore "$folder/hooks.py" "$@" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }; }
echo "without a key:"
hooks make "$folder/without.db"
hooks unreadable "$folder/without.db"
echo "with one:"
MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=$("$folder/venv/bin/python" -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())')
export MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY
hooks make "$folder/with.db"
hooks readable "$folder/with.db"
