#!/usr/bin/env bash
# mlflow 3.17.2: an experiment with the tag mlflow.experimentKind=custom_model_development, the value of MLflow's own pages, opens in a
# fresh browser as one of language models all the same. What decides is the browser's own toggle, or the address.
# Here: sweep/mlflow/view/_view.py puts ?workflowType=machine_learning into links, docs/how-to/read-mlflow.md names the toggle.
# It needs an installed Chromium (Debian: apt-get install chromium), whose path may be given: bash findings/mlflow_experiment_kind.sh /usr/bin/chromium
set -euo pipefail
chromium=${1:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mlflow==3.17.2 playwright==1.65.2
export MLFLOW_DISABLE_TELEMETRY=true
cat >"$folder/look.py" <<'PY'
import os
import socket
import subprocess
import sys
import time

import mlflow
from mlflow import MlflowClient
from playwright.sync_api import sync_playwright

folder = sys.argv[1]
with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]
address = f"http://127.0.0.1:{port}"
words = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
words += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
server = subprocess.Popen(words, env={**os.environ, **quiet}, cwd=folder, process_group=0, stdout=sys.stderr)
try:
    for _ in range(240):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.5)
    client = MlflowClient(address)
    tags = {"mlflow.experimentKind": "custom_model_development"}
    experiment = client.create_experiment("models", tags=tags)
    runs = []
    for number in range(2):
        run = client.create_run(experiment, run_name=f"run-{number}").info.run_id
        for key in range(20):
            client.log_metric(run, f"metric-{key:02d}", float(key))
        client.set_terminated(run)
        runs.append(run)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=sys.argv[2], args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1600})
        page.set_default_timeout(90_000)


        def opened_as(query: str) -> str:
            page.goto("about:blank")
            page.goto(f"{address}/#/experiments/{experiment}/runs{query}")
            page.get_by_role("link", name="run-0").first.wait_for()
            return "language models" if page.get_by_text("Evaluation runs").count() else "model training"

        found = {query: opened_as(query) for query in ("", "?workflowType=machine_learning")}
        browser.close()
finally:
    os.killpg(server.pid, 9)
    server.wait()
print("mlflow", mlflow.__version__)
for what, seen in found.items():
    print(f"{what}: {seen}")
assert list(found.values()) == ["language models", "model training"], found
PY
"$folder/venv/bin/python" -W ignore "$folder/look.py" "$folder" "$chromium" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
