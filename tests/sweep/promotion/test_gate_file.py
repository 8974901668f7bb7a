"""Gates as files: what is shipped, what is refused, what is kept of one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from tiny_sweep import NAME

from sweep.cli import main
from sweep.errors import UsageError
from sweep.ledger.evidence import Evidence
from sweep.mlflow.view import connect
from sweep.promotion.gate_file import Gate, load_gate, parse_gate, shipped_gates
from sweep.storage.home import Home

MODEL = "ptxsweep-phantom-average_precision"


def test_the_shipped_gates() -> None:
    """The usual one is the class's own defaults, and none is weaker unless it says where."""
    gates = {name: load_gate(name) for name in shipped_gates()}
    assert {"superior", "strict"} <= set(gates)
    assert all(gate.name == name and gate.description for name, gate in gates.items())
    assert gates["superior"].digest == Gate().digest == load_gate().digest
    assert gates["superior"].eased == gates["strict"].eased == ()


def test_every_mistake_is_told_at_once() -> None:
    text = (
        "min_gain: 2\nmingain: 0\nmin_patients: many\n"
        "floors: {dise: 1, average_precision: 0.5, iou: 7}\n"
    )
    with pytest.raises(UsageError, match="found nothing, expected a name") as refusal:
        parse_gate(text, "g.yaml")
    assert str(refusal.value).splitlines() == [
        "g.yaml:1: name: found nothing, expected a name",
        "g.yaml:1: min_gain: found 2, expected less than or equal to 1",
        "g.yaml:3: min_patients: found 'many', expected a valid integer",
        "g.yaml:4: floors: found an unknown metric, 'dise'; did you mean 'dice'?; found a metric "
        "without an interval, 'average_precision'; did you mean 'case_precision'?; iou: found 7, "
        "expected a value from 0 to 1",
        "g.yaml:2: mingain: found an unknown key, did you mean 'min_gain'?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: [", r"g.yaml:\d: not YAML"),
        ("name: a\nname: b\n", "g.yaml:2: name: found a second time"),
        ("- name\n", "found no keys, expected a mapping"),
        ("name: a\nmin_lead: .nan\n", "min_lead: found nan"),
        ("name: a\nfloors: {hausdorff95_mm: -1}\n", "found -1, expected a value from 0 to inf"),
        ("name: a/b\n", "name: found 'a/b'"),
    ],
)
def test_what_is_no_gate(text: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        parse_gate(text, "g.yaml")


def test_a_name_that_no_gate_has() -> None:
    with pytest.raises(UsageError, match=r"gate supperior: found neither .* mean 'superior'"):
        load_gate("supperior")


def test_a_digest_is_of_what_is_asked_for() -> None:
    gate = parse_gate("name: a\nmin_lead: 0.01\n", "g.yaml")
    assert gate.digest == parse_gate("min_lead: 1e-2 # a comment\nname: b\n", "g.yaml").digest
    assert gate.digest != Gate().digest
    stricter = gate.overridden({"min_gain": None, "min_lead": 0.02})
    assert (stricter.name, stricter.min_lead) == ("a with min_lead 0.02", 0.02)
    assert stricter.digest not in (gate.digest, Gate().digest)
    assert gate.overridden({"min_lead": 0.01}) is gate
    with pytest.raises(
        UsageError, match=r"--max-loss: found nan, expected less than or equal to 1"
    ):
        gate.overridden({"max_loss": math.nan})  # click's range lets it pass


def test_a_bad_gate_is_refused_before_anything_is_opened(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nfloors: {dise: 0.5}\nmin_gane: 1\n", encoding="utf-8")
    assert main(["promote", "nothing", "--gate", str(file), "--home", str(tmp_path / "no")]) == 2
    said = capfd.readouterr().err
    assert "an unknown metric, 'dise'; did you mean 'dice'?" in said
    assert "min_gane: found an unknown key, did you mean 'min_gain'?" in said
    assert not (tmp_path / "no").exists()


def test_the_gate_is_kept_with_the_verdict_and_with_the_model(
    tiny_home: Home, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A floor refuses, decided on the end of its interval; a gate without it lets pass."""
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\nmax_loss: 1\nfloors: {case_specificity: 0.99, hausdorff95_positive_mm: 9}\n",
        encoding="utf-8",
    )
    where = ["--home", str(tiny_home.folder)]
    assert main(["promote", NAME, "--gate", str(file), *where]) == 3
    said = capfd.readouterr().err
    assert "case_specificity above its floor: found" in said
    assert "expected a lower end above 0.9900" in said
    assert "expected an upper end below" not in said  # nine millimetres are more than the image
    assert main(["promote", NAME, "--gate", str(file), "--rollback", *where]) == 2
    assert "found --gate beside it" in capfd.readouterr().err
    assert main(["promote", NAME, "--max-loss", "1", *where]) == 0
    assert "gate superior with max_loss 1 (" in capfd.readouterr().out
    first, second = Evidence(tiny_home.ledger_url, NAME).verdicts()
    assert first["gate"]["name"] == "mine"
    assert first["gate"]["content"]["floors"]["case_specificity"] == 0.99
    version = connect(tiny_home.tracking_uri).get_model_version_by_alias(MODEL, "champion")
    assert json.loads(version.tags["ptxsweep.gate"]) == second["gate"]
    assert second["gate"]["digest"] == Gate(max_loss=1).digest
