#!/usr/bin/env bash
# torch 2.13.0, torch.onnx.export(dynamo=True): a side that was asked to be dynamic, in a module that pads its input to a
# multiple only where it must. torch.export settles the branch by the example and keeps a guard, so that its own module
# refuses a side of the other branch ("Guard failed"). The ONNX graph has neither guard nor branch: its input is declared
# dynamic, and ONNX Runtime gives other numbers without a word.
# Seen: an example of 32 columns, which need no padding; 40 columns agree, 30 and 33 do not.
# Here: `ptxsweep export-model` writes a graph for sides that divide, says so in its metadata, and pads before it runs it
# (ptxcore/export/onnx_graph.py, tests/sweep/test_export_model.py::test_logits_are_those_of_the_networks).
# The index of CPU builds of PyTorch, where the default would be large: TORCH_INDEX=ADDRESS.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
"$folder/venv/bin/python" -W ignore - "$folder/graph.onnx" 2>"$folder/log" <<'PY' || { cat "$folder/log" >&2; exit 1; }
import math
import sys

import onnxruntime
import torch


class Padded(torch.nn.Module):
    def forward(self, rows):
        width = rows.shape[-1]
        wanted = max(2, math.ceil(width / 8)) * 8
        if wanted == width:
            return rows.mean(-1)
        return torch.nn.functional.pad(rows, (0, wanted - width), mode="replicate").mean(-1)


module, example = Padded().eval(), torch.zeros(1, 1, 32)
dynamic = ({2: torch.export.Dim.DYNAMIC},)
program = torch.onnx.export(
    module, (example,), dynamo=True, dynamic_shapes=dynamic, input_names=["rows"], external_data=False,
    verbose=False,
)
program.save(sys.argv[1], external_data=False)
session = onnxruntime.InferenceSession(sys.argv[1])
print("torch", torch.__version__, "onnxruntime", onnxruntime.__version__)
print("declared input:", session.get_inputs()[0].shape)
agree = {}
for width in (32, 40, 30, 33):
    rows = torch.arange(width).float().reshape(1, 1, width) ** 2
    expected, found = module(rows).item(), session.run(None, {"rows": rows.numpy()})[0].item()
    agree[width] = math.isclose(expected, found, rel_tol=1e-6)
    print(f"{width} columns: torch {expected:.3f}, ONNX Runtime {found:.3f}")
assert agree == {32: True, 40: True, 30: False, 33: False}, agree
try:
    torch.export.export(module, (example,), dynamic_shapes=dynamic).module()(torch.zeros(1, 1, 30))
    refused = "nothing"
except AssertionError as error:
    refused = str(error)
print("torch.export's own module says:", refused.splitlines()[0][:70])
assert "Guard failed" in refused
PY
