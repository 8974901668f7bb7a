#!/usr/bin/env bash
# openvino 2026.4.1 with openvino-telemetry 2025.2.0, which it depends on: `import openvino` alone, without a question and
# without a word, makes a client id in the user's home (intel/openvino_ga_cid) and starts a thread that sends an event;
# its own "opt_in_out" is off only for those who have answered, and in CI. No environment variable says no.
# With `sys.modules["openvino_telemetry"] = None` before the import nothing is written, and a model compiles as before.
# Here: ptxcore/export/graph_engines.py (tests/sweep/test_export_model.py::test_openvino_reports_nothing).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openvino==2026.4.1 openvino-telemetry==2025.2.0 numpy==2.4.6
unset CI TF_BUILD JENKINS_URL
mkdir "$folder/plain" "$folder/quiet"
HOME=$folder/plain "$folder/venv/bin/python" -c 'import openvino; print("openvino", openvino.__version__)'
HOME=$folder/quiet "$folder/venv/bin/python" -c '
import sys
sys.modules["openvino_telemetry"] = None
import openvino
openvino.Core()'
plain=$(find "$folder/plain" -type f | wc -l) quiet=$(find "$folder/quiet" -type f | wc -l)
echo "files in the home after the import: $plain; with its telemetry kept out: $quiet"
[[ $plain -gt 0 && $quiet -eq 0 ]]
