#!/usr/bin/env bash
# torch 2.13.0, CPU with bfloat16 in hardware (AVX-512 BF16 or AMX), one thread, channels last: the backward pass of a
# depthwise convolution with stride 2 or a kernel of 5 takes longer in bfloat16 than in float32, several times as long at
# some sizes; with stride 1 and a kernel of 3 it takes less. Forward passes gain in both. So autocast makes the training of
# MobileNets and EfficientNets on such a CPU hardly faster, where their other convolutions gain a factor of two.
# Seen (AMD EPYC with AVX-512 BF16), backward, bfloat16 over float32: 144 channels of 56 px, kernel 5, stride 2: 7.0 to 7.5;
# 96 channels of 112 px, kernel 3, stride 2: 2.4 to 2.6; 32 channels of 112 px, kernel 3, stride 1: 0.4 to 0.8.
# Here: the pretrained encoder computes these in float32 in training on a CPU, 0.70 for 0.99 s a step
# (ptxcore/models/_encoder.py, tests/ptxcore/models/test_encoder.py::test_depthwise_convolutions_learn_in_float32).
# The index of CPU builds of PyTorch, where the default would be large: TORCH_INDEX=ADDRESS.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch==2.13.0
"$folder/venv/bin/pip" install --quiet numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PY'
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(1)


def backward_seconds(channels, side, kernel, stride, dtype):
    def made(*shape):
        return torch.randn(*shape, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()

    images, weight = made(8, channels, side, side), made(channels, 1, kernel, kernel)
    taken = []
    for _ in range(4):
        found = F.conv2d(images, weight, stride=stride, padding=kernel // 2, groups=channels)
        given = torch.ones_like(found)
        start = time.process_time()
        found.backward(given)
        taken.append(time.process_time() - start)
    return min(taken)


print("torch", torch.__version__)
ratios = {}
for shape in ((144, 56, 5, 2), (96, 112, 3, 2), (32, 112, 3, 1)):
    short, wide = (backward_seconds(*shape, dtype) for dtype in (torch.bfloat16, torch.float32))
    ratios[shape] = short / wide
    print(f"channels, side, kernel, stride {shape}: bfloat16 {short:.4f} s, float32 {wide:.4f} s, {short / wide:.2f}")
assert ratios[144, 56, 5, 2] > 1.5, ratios
assert ratios[96, 112, 3, 2] > 1.5, ratios
assert ratios[32, 112, 3, 1] < 1, ratios
PY
