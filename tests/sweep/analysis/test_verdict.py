"""One verdict: report, show, list, compare, live line and MLflow say the same numbers and words."""

from __future__ import annotations

import dataclasses
import html
import io
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from synthetic_sweeps import SPACE, Story, projection_of, run_sweep

from dashboards.report.findings import find
from dashboards.report.page import write_report
from sweep.analysis.progress import make_overview
from sweep.analysis.standing import Outcome
from sweep.analysis.verdict import SweepVerdict, verdict
from sweep.cli import main
from sweep.cli.live import line, table
from sweep.ledger import Ledger
from sweep.mlflow.view._content import progress_tags
from sweep.mlflow.view._words import sweep_note
from sweep.records import State

#: Sweeps: of which one is over, one interrupted, one has a single trial, one no finished fold.
SWEEPS: dict[str, dict[str, Any]] = {
    "over": {"num_trials": 12, "story": Story(diverges=frozenset({4}))},
    "open": {"num_trials": 12, "story": Story(stop_after=9, diverges=frozenset({3}))},
    "single": {"num_trials": 1, "num_completions": 1},
    "empty": {"num_trials": 2, "story": Story(stop_after=0)},
}


@dataclass(frozen=True)
class Views:
    """Every view of the sweeps above."""

    home: Path
    ledgers: dict[str, Ledger]
    pages: dict[str, str]


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("home")
    url = f"sqlite:///{home / 'ledger.db'}"
    ledgers = {name: run_sweep(url, name, **how) for name, how in SWEEPS.items()}
    pages = {}
    for name, ledger in ledgers.items():
        page = write_report(ledger, home / f"{name}.html").read_text(encoding="utf-8")
        page = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
        pages[name] = " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())
    yield Views(home, ledgers, pages)
    for ledger in ledgers.values():
        ledger.close()


def printed(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capfd.readouterr().out


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", SWEEPS)
def test_every_view_says_the_same(
    views: Views, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    projection = views.ledgers[name].projection
    said = verdict(projection)
    where = ("--home", str(views.home))

    assert find(projection).verdict == said
    assert all(sentence in views.pages[name] for sentence in said.sentences)
    assert all(sentence in views.pages[name] for sentence in said.cautions)

    shown = json.loads(printed(capfd, "show", name, *where, "--json"))
    assert_numbers(shown, said)
    assert (shown["sentences"], shown["short"]) == (list(said.sentences), said.short)
    text = one_line(printed(capfd, "show", name, *where))
    assert all(sentence in text for sentence in said.sentences)

    listed = json.loads(printed(capfd, "list", *where, "--json"))["sweeps"]
    (row,) = [each for each in listed if each["name"] == name]
    assert_numbers(row, said)
    assert said.short in printed(capfd, "list", *where)

    if projection.trials and projection.trials[0].state is State.COMPLETE:
        compared = json.loads(printed(capfd, "compare", name, *where, "--json"))
        assert_numbers(compared, said)
        assert said.text in one_line(printed(capfd, "compare", name, *where))

    assert said.short in line(make_overview(projection))
    stream = io.StringIO()
    Console(width=500, file=stream).print(table(name, projection))
    assert said.short in one_line(stream.getvalue())

    tags = progress_tags(projection, said)
    assert tags["ptxsweep.standing"] == said.text
    note = one_line(sweep_note(projection, said, {}, None).replace("**", ""))
    assert note.startswith(said.text)
    assert all(sentence in note for sentence in said.cautions[:1])


def assert_numbers(shown: dict[str, Any], said: SweepVerdict) -> None:
    assert shown["verdict"] == said.text
    assert shown["standing"]["outcome"] == said.standing.outcome
    pairs = (
        (shown["standing"]["difference"], said.standing.difference),
        ((shown["second"] or {}).get("difference"), said.second and said.second.difference),
        ((shown["nothing"] or {}).get("gain"), said.nothing and said.nothing.gain),
    )
    for theirs, ours in pairs:
        assert (theirs is None) == (ours is None)
        for part in ("mean", "low", "high", "p_value") if ours else ():
            value = getattr(ours, part)
            expected = value if math.isfinite(value) else None
            assert theirs[part] == (None if expected is None else pytest.approx(expected))


def test_each_part_is_there(views: Views) -> None:
    """Else the test above would find equal silence."""
    over, opened, single, empty = (verdict(views.ledgers[name].projection) for name in SWEEPS)
    assert over.second
    assert over.nothing
    assert len(over.sentences) == 4
    assert opened.standing.outcome is Outcome.OPEN
    assert "parked" in opened.sentences[0]
    assert single.sentences[:2] == (
        "The default settings won with an average precision of "
        f"{single.score.mean:.3f} ± {single.score.sd:.3f} over 5 folds.",  # type: ignore[union-attr]
        "The search found no complete trial that scores higher than the defaults.",
    )
    assert single.second is None
    assert (empty.score, empty.nothing) == (None, None)
    assert "no fold is finished" in empty.short


def test_the_second_is_corrected_as_compare_does(
    views: Views, capfd: pytest.CaptureFixture[str]
) -> None:
    said = verdict(views.ledgers["over"].projection)
    assert said.second
    assert said.second.difference
    against = json.loads(
        printed(
            capfd, "compare", "over", "--home", str(views.home), "--json",
            "--against", str(said.second.number), "--metric", "average_precision",
        )
    )["comparisons"][0]["trials"]  # fmt: skip
    (own,) = [each for each in against if each["number"] == said.standing.winner]
    for part in ("mean", "low", "high", "p_value"):
        assert own["difference"][part] == pytest.approx(getattr(said.second.difference, part))


def test_the_second_of_two_is_named() -> None:
    said = verdict(projection_of([[0.5, 0.6, 0.7], [0.7, 0.5, 0.8], [0.6, 0.7, 0.6]]))
    assert said.standing.winner == 1
    assert said.second
    assert said.second.number == 2
    assert (
        "Its lead over the second, #2, is +0.033 (corrected for 3 pairs of trials, its" in said.text
    )
    assert (
        "interval has all that is possible and says nothing): the folds do not tell the two apart."
        in said.text
    )


def test_scores_that_are_no_numbers_say_nothing() -> None:
    made = projection_of([[math.nan, 0.5], [0.5, math.nan]], num_folds=2)
    said = verdict(made)
    assert said.short == "no winner: no trial is complete"
    made = projection_of([[0.5, 0.6], [0.7, math.nan]], num_folds=2, metrics={"dice": math.nan})
    said = verdict(made)
    assert (said.standing.winner, said.second, said.nothing) == (0, None, None)
    assert "nan" not in said.text + said.short


def test_the_live_line_of_a_sweep_without_a_trial() -> None:
    made = projection_of([])
    made.header = dataclasses.replace(made.header, space_text=SPACE)
    assert "no winner yet: no fold is finished" in line(make_overview(made))
