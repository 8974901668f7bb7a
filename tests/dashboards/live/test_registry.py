"""The registry's page, and which cases a reviewer must open, from plain values."""

from __future__ import annotations

import dataclasses

import numpy as np

from dashboards.live.held_out_cases import case_list, hard_cases
from dashboards.live.registry import meter, registry_page
from ptxcore.metrics import build_table, count_case
from ptxcore.types import Rule
from sweep.promotion.overview import RegisteredModel, RegisteredVersion

VERSION = RegisteredVersion(
    number="3",
    aliases=("champion",),
    sweep="<b>odd</b>",
    trial=None,
    verdict="forced",
    reasons=("dice: found 0.1, expected <0.2>",),
    judged_against=None,
    holdout_dice=0.75,
    holdout_dice_all_empty=None,
    holdout_uses=20,
    approval={"approved": False, "by": None, "at": None, "problem": "nobody approved it"},
    created=0,
)
MODEL = RegisteredModel(
    name="model & co",
    champion="3",
    challenger=None,
    previous=None,
    versions=(VERSION, dataclasses.replace(VERSION, number="2", aliases=())),
    history=tuple(
        {"kind": "refusal", "at": f"2026-01-{day:02d}T08:00:00", "by": "<i>", "reasons": ["no"]}
        for day in range(1, 15)
    ),
    unfinished={"kind": "promotion"},
)


def test_names_are_text_and_everything_is_said() -> None:
    page = registry_page([MODEL], None)
    assert "<b>odd</b>" not in page
    assert "by <i>" not in page
    assert "model &amp; co" in page
    assert "1 registered model" in page
    assert "Version 3 is against the gate: dice: found 0.1, expected &lt;0.2&gt;." in page
    assert "Version 3: nobody approved it." in page
    assert "1 more version without an alias" in page
    assert "A promotion was cut off" in page
    assert "2 older events" in page
    assert page.index("2026-01-14") < page.index("2026-01-13")
    assert "No model is registered" in registry_page([], None)


def test_a_hold_out_wears_out() -> None:
    assert 'value="20"' in meter(27)
    assert "27 of 20" in meter(27)


def test_the_worst_and_the_largest_false_alarms_are_to_be_opened() -> None:
    """Case k of 16 positives has k of its 16 pixels found; of 14 empty ones, two raise an alarm."""
    names, counted = [], []
    for k in range(16):
        truth = np.zeros((8, 8), bool)
        truth[:2] = True
        logits = np.full((8, 8), -9.0, np.float32)
        logits.ravel()[:k] = 9.0
        names.append(f"positive-{k:02d}")
        counted.append(count_case(logits, truth))
    for k in range(14):
        logits = np.full((8, 8), -9.0, np.float32)
        logits.ravel()[: max(0, k - 11) * 4] = 9.0
        names.append(f"empty-{k:02d}")
        counted.append(count_case(logits, np.zeros((8, 8), bool)))
    cases = hard_cases(build_table(names, counted), Rule())
    assert [case.case_id for case in cases] == [
        *(f"positive-{k:02d}" for k in range(12)),
        "empty-13",
        "empty-12",
    ]
    assert cases[0].words == "missed: nothing was predicted, the truth is 25.00% of the image"
    assert cases[-1].words == "false alarm over 6.25% of the image"
    said = case_list(cases, {0, 13}, "/promote/a/case", must_open=True)
    assert "The 12 positive cases with the lowest Dice and the 2 largest false alarms" in said
    assert "12 cases of them to open before you can approve" in said
    assert 'href="/promote/a/case/2">Open them' in said
    assert hard_cases(build_table(names[16:18], counted[16:18]), Rule()) == ()
