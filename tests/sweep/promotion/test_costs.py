"""What a model costs: measured side by side, decided on ends, absent where it was not measured."""

from __future__ import annotations

import dataclasses
import json
import shutil
from typing import Any

import numpy as np
import pytest
from confirming import confirm_now, kept_confirmation
from tiny_sweep import NAME, copy_sweep

from ptxcore.inference import Ensemble, measure_costs
from ptxcore.models import build_network
from ptxcore.settings import FoldSettings
from sweep.errors import GateRefused, UsageError
from sweep.ledger.evidence import Evidence
from sweep.mlflow.view import connect
from sweep.promotion.confirmation import Confirmation
from sweep.promotion.cost_checks import caps, cheaper
from sweep.promotion.costs import Costs
from sweep.promotion.gate_file import Cheaper, Gate, load_gate, parse_gate
from sweep.promotion.promote import promote
from sweep.storage.home import Home

MODEL = "ptxsweep-phantom-average_precision"


def ensemble(number: int, channels: int) -> Ensemble:
    settings = FoldSettings.from_mapping(
        {"network": "unet", "channels": channels, "levels": 3, "image_size": 64, "patch_size": 64}
    )
    return Ensemble(
        members=tuple((build_network(settings, seed=0).eval(), settings) for _ in range(number))
    )


def test_a_larger_ensemble_costs_more() -> None:
    images = [np.full((64, 64), value, dtype=np.uint8) for value in (10, 20, 30)]
    small, large = measure_costs([ensemble(1, 4), ensemble(3, 16)], images)
    assert (small.num_networks, large.num_networks) == (1, 3)
    assert large.size_bytes > 10 * small.size_bytes
    assert len(small.seconds) == len(large.seconds) == 3
    assert all(value > 0 for value in (*small.seconds, *large.seconds))
    assert small.memory_bytes is None or small.memory_bytes >= small.size_bytes


def costs(**changes: Any) -> Costs:
    made = Costs(
        num_networks=5,
        size_bytes=2**20,
        memory_bytes=2**26,
        seconds=(1.0, 1.1, 0.9, 1.0),
        where="cpu, float32, 2 threads",
    )
    return dataclasses.replace(made, **changes)


class Told:
    """As much of a confirmation as costs need."""

    confidence = 0.95

    def __init__(self, **found: Costs) -> None:
        self.costs = found


def asked(gate: Gate, **found: Costs) -> Any:
    told: Any = Told(**found)
    (answer,) = cheaper(told, gate, is_against_champion=True)
    return answer


def test_an_equal_one_is_not_cheaper_and_noise_is_no_gain() -> None:
    gate = load_gate("cheaper")
    equal = asked(gate, winner=costs(), champion=costs())
    assert not equal.passed
    assert (
        "seconds an image 1.00 (upper end 1.00), peak memory 1.00 (upper end 1.06)" in equal.found
    )
    noisy = costs(seconds=(0.5, 1.3, 0.4, 1.2))
    assert not asked(gate, winner=noisy, champion=costs()).passed
    for change in (
        {"seconds": (0.5, 0.55, 0.45, 0.5)},
        {"memory_bytes": 2**25},
        {"size_bytes": 2**19},
        {"num_networks": 4},
    ):
        assert asked(gate, winner=costs(**change), champion=costs()).passed, change
    one = Gate(min_lead=-0.02, cheaper=Cheaper(any_of=("memory_bytes",)))
    # As measured of two equal ensembles on a busy machine: 0.72, and nothing but the allocator.
    lucky = asked(one, winner=costs(memory_bytes=1215912), champion=costs(memory_bytes=1686952))
    assert not lucky.passed
    untold = asked(one, winner=costs(memory_bytes=None), champion=costs())
    assert not untold.passed
    assert untold.found == "peak memory not told by this system"


def test_what_was_not_measured_fails_and_says_what_to_do() -> None:
    gate = load_gate("cheaper")
    absent = asked(gate, winner=costs())
    assert not absent.passed
    assert absent.found == "none measured"
    assert "`--again`" in absent.expected
    told: Any = Told(champion=costs())
    cap = Gate(max_seconds_per_image=1.5, max_memory_bytes=2**26, max_size_bytes=10)
    assert [one.passed for one in caps(told, cap)] == [False] * 3


def test_caps_decide_on_the_upper_end_of_times() -> None:
    told: Any = Told(winner=costs())
    cap = Gate(max_seconds_per_image=1.05, max_memory_bytes=2**26, max_size_bytes=2**19)
    slow, memory, size = caps(told, cap)
    assert not slow.passed  # the mean is 1, the upper end 1.13
    assert "1 s (upper end of its interval 1.13 s; cpu, float32, 2 threads)" in slow.found
    assert memory.passed
    assert not size.passed
    assert (size.found, size.expected) == ("1.0 MiB", "at most 0.5 MiB")


def test_a_lead_below_nothing_needs_something_cheaper() -> None:
    with pytest.raises(UsageError, match=r"min_lead: found -0.1 without `cheaper`, expected at"):
        parse_gate("name: a\nmin_lead: -0.1\n", "g.yaml")
    with pytest.raises(UsageError, match=r"cheaper.any_off: found an unknown key, did you mean"):
        parse_gate("name: a\nmin_lead: -0.1\ncheaper: {any_off: [size_bytes]}\n", "g.yaml")
    assert load_gate("cheaper").eased == (
        "min_lead -0.02 (usually 0)",
        "subgroups.max_loss 0.02 (usually 0)",
    )


def test_both_are_measured_where_the_champion_comes_from_another_hold_out(
    tiny_home: Home,
) -> None:
    """Its table is gone, so its package is scored; a cap that nothing meets refuses."""
    promote(tiny_home, NAME)
    shutil.rmtree(tiny_home.sweep_folder(NAME) / "confirmation")
    copy_sweep(tiny_home, "equal", [0, 1])
    with pytest.raises(GateRefused, match="cheaper than the champion: found") as refusal:
        promote(tiny_home, "equal", gate=load_gate("cheaper"))
    assert not any("none measured" in reason for reason in refusal.value.reasons)
    found = kept_confirmation(tiny_home, "equal")
    assert found is not None
    assert found.costs is not None
    assert set(found.costs) == {"winner", "champion"}
    assert found.costs["winner"].num_networks == found.costs["champion"].num_networks == 2
    assert found.costs["winner"].size_bytes == found.costs["champion"].size_bytes
    (kept,) = Evidence(tiny_home.ledger_url, "equal").verdicts()
    assert kept["gate"]["name"] == "cheaper"
    with pytest.raises(GateRefused, match=r"size of the weights: found .* MiB, expected at most"):
        promote(tiny_home, "equal", gate=Gate(max_size_bytes=1))


def test_a_champion_with_its_table_at_hand_is_measured_too(tiny_home: Home) -> None:
    """Also where a winner was confirmed before there was this champion."""
    copy_sweep(tiny_home, "weak", [0, 1])
    first = confirm_now(tiny_home, "weak")
    assert first.costs is not None
    assert set(first.costs) == {"winner"}
    promote(tiny_home, NAME)
    with pytest.raises(GateRefused, match="not promoted"):
        promote(tiny_home, "weak")
    later = kept_confirmation(tiny_home, "weak")
    assert isinstance(later, Confirmation)
    assert later.use == 2
    assert later.costs is not None
    assert set(later.costs) == {"winner", "champion"}


def test_a_champion_that_cannot_be_measured_spends_nothing(tiny_home: Home) -> None:
    """Its table is at hand, so `superior` needs no more; `cheaper` does."""
    promote(tiny_home, NAME)
    source = connect(tiny_home.tracking_uri).get_model_version_download_uri(MODEL, "1")
    shutil.rmtree(source.removeprefix("file://"))
    copy_sweep(tiny_home, "equal", [0, 1])
    with pytest.raises(GateRefused, match=r"cheaper than the champion: found one that cannot be"):
        promote(tiny_home, "equal", gate=load_gate("cheaper"))
    assert Evidence(tiny_home.ledger_url, "equal").uses() == []
    with pytest.raises(GateRefused, match="dice against the champion"):
        promote(tiny_home, "equal")
    assert len(Evidence(tiny_home.ledger_url, "equal").uses()) == 1


def test_evidence_without_costs_is_read(tiny_home: Home) -> None:
    found = confirm_now(tiny_home, NAME)
    evidence = Evidence(tiny_home.ledger_url, NAME)
    (use,) = evidence.uses()
    assert use.result is not None
    json.dumps(use.result["costs"])
    older = {key: value for key, value in use.result.items() if key not in ("costs", "subgroups")}
    number = evidence.begin(
        purpose="older",
        git_sha="",
        holdout_digest=use.holdout_digest,
        trials=use.trials,
        again=True,
    )
    evidence.finish(number, older, 0.9)
    again = kept_confirmation(tiny_home, NAME)
    assert again is not None
    assert (again.costs, again.subgroups) == (None, None)
    assert again.metrics == found.metrics
