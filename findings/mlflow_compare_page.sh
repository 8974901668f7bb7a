#!/usr/bin/env bash
# mlflow 3.17.2, the page that compares runs: (a) "Something went wrong" if the first run has an artifact and another has none;
# (b) the names of metrics follow their values by one step of scrolling, so after a jump a value stands beside another metric's name.
# Here: (a) sweep/mlflow/view/_content.py gives each trial an artifact (settings.json) from the start; (b) docs/how-to/read-mlflow.md says
# so, and the tag ptxsweep.rank tells who won in a table that does not scroll.
# It needs an installed Chromium (Debian: apt-get install chromium), whose path may be given: bash findings/mlflow_compare_page.sh /usr/bin/chromium
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


        def compared() -> str:
            page.goto("about:blank")
            ids = ",".join(f'"{run}"' for run in runs)
            page.goto(f'{address}/#/compare-runs?runs=[{ids}]&experiments=["{experiment}"]')
            page.get_by_text("Run details").or_(page.get_by_text("Something went wrong")).first.wait_for()
            page.wait_for_timeout(10_000)
            return "an error" if page.get_by_text("Something went wrong").count() else "the runs"

        found = {"no run has an artifact": compared()}
        tops = "() => Array.from(document.querySelectorAll('.ReactVirtualized__Grid'), grid => grid.scrollTop)"
        page.locator(".ReactVirtualized__Grid").nth(1).hover()
        for step in (100, 300):
            page.mouse.wheel(0, step)
            page.wait_for_timeout(2_000)
        found["names and values of metrics after steps of 100 and 300 px"] = page.evaluate(tops)
        client.log_text(runs[0], "text", "file.txt")
        found["the first alone has one"] = compared()
        runs.reverse()
        found["the last alone has one"] = compared()
        browser.close()
finally:
    os.killpg(server.pid, 9)
    server.wait()
print("mlflow", mlflow.__version__)
for what, seen in found.items():
    print(f"{what}: {seen}")
assert list(found.values()) == ["the runs", [100, 400], "an error", "the runs"], found
PY
"$folder/venv/bin/python" -W ignore "$folder/look.py" "$folder" "$chromium" 2>"$folder/log" || { tail -20 "$folder/log" >&2; exit 1; }
