"""The live pages show the numbers of every other view, in words where there are none."""

from __future__ import annotations

import html
import json
import re
import time
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from confirming import confirm_now
from live_page import ODD, Answer, ask
from synthetic_sweeps import run_sweep
from tiny_sweep import NAME

from dashboards.live.app import create_app
from dashboards.live.gallery import Drawer
from dashboards.live.ledgers import Ledgers
from dashboards.live.settings import Settings
from dashboards.text import score, signed
from ptxcore.metrics import load_table
from sweep.analysis.compare import compare
from sweep.analysis.operating_point import operating_points
from sweep.analysis.summary import summarise
from sweep.ledger import Ledger, list_sweeps
from sweep.records import State, SweepState
from sweep.storage.home import Home

PAGES = (
    "/",
    "/s/first",
    "/s/first?sort=number&q=pruned&state=pruned&against=3&page=9&sel=3",
    "/s/first/t/3",
    "/s/first/t/4",
    "/compare",
    "/compare?t=first:3&t=second:0",
    *(f"/s/first/figures/{group}" for group in ("comparisons", "training", "search", "cost")),
    "/s/first/figures/stopped",
    "/s/first/t/2/figures",
)


@pytest.fixture(scope="module")
def app(live_home: Home) -> Any:
    return create_app(Settings(home=live_home))


def text_of(answer: Answer) -> str:
    """What a reader sees, spaces made one."""
    words = re.sub(r"<[^>]*>", " ", re.sub(r"</?(b|span|a)\b[^>]*>", "", answer.text))
    return " ".join(html.unescape(words).split())


def test_a_sweep_shows_what_show_says(app: Any, live_home: Home) -> None:
    ledger = Ledger.open(live_home.ledger_url, "first")
    summary = summarise(ledger)
    ledger.close()
    shown = text_of(ask(app, "/s/first"))
    for sentence in summary.sentences:
        assert sentence in shown
    for trial in summary.trials:
        if trial.state == State.COMPLETE:
            sd = trial.metrics[summary.metric]["sd"]
            assert f"#{trial.number}" in shown
            assert f"{score(trial.mean)} ± {score(sd)}" in shown
    assert summary.short in text_of(ask(app, "/"))
    trial_page = text_of(ask(app, f"/s/first/t/{summary.best}"))
    for value in summary.trials[summary.best or 0].fold_scores:
        assert score(value) in trial_page


def test_a_comparison_shows_what_compare_says(app: Any, live_home: Home) -> None:
    ledger = Ledger.open(live_home.ledger_url, "first")
    for metric in (None, "dice_positive"):
        found = compare(ledger.projection, metric=metric)
        numbers = [trial.number for trial in found.trials]
        query = "&".join(f"t=first:{number}" for number in numbers)
        shown = text_of(ask(app, f"/compare?{query}&metric={metric or ''}"))
        for trial in found.trials[1:]:
            assert trial.difference is not None
            said = f"{signed(trial.difference.mean)} on 5 shared folds"
            assert said in shown
            reach = f"{signed(trial.difference.low)} to {signed(trial.difference.high)}"
            assert reach in shown
            assert all(score(value) in shown for value in trial.values)
    ledger.close()


def test_sweeps_of_one_plan_are_compared_and_others_refused(app: Any) -> None:
    shown = text_of(ask(app, "/compare?t=first:0&t=second:0"))
    assert "second #0 default is +0.000 from first #0 default" in shown
    refused = ask(app, f"/compare?t=first:0&t={quote(ODD)}:0")
    assert refused.code == 400
    assert "scored on different folds (plan b2b2b2b2b2b2 and d4d4d4d4d4d4)" in text_of(refused)
    old = ask(app, "/compare?t=first:0&t=old:0")
    assert "the ledger of old is of an older version" in text_of(old)
    assert "found trial 99 of first" in text_of(ask(app, "/compare?t=first:99"))
    assert "found 'first'" in text_of(ask(app, "/compare?t=first"))
    many = "&".join(f"t=first:{number}" for number in range(7))
    assert "at most 6" in text_of(ask(app, f"/compare?{many}"))


def test_only_what_is_new_is_sent(tmp_path: Path) -> None:
    home = Home.from_environment(tmp_path)
    run_sweep(home.ledger_url, "grows", num_trials=2, num_completions=1).close()
    app = create_app(Settings(home=home))
    first = ask(app, "/s/grows")
    etag = first.headers["etag"]
    again = ask(app, "/s/grows", if_none_match=etag, hx_request="true")
    assert (again.code, again.body) == (304, b"")
    figures = ask(app, "/s/grows/figures/cost")
    assert ask(app, "/s/grows/figures/cost", if_none_match=figures.headers["etag"]).code == 304

    writer = Ledger.open(home.ledger_url, "grows")
    writer.acquire("test")
    writer.add_trial({}, {}, {"learning_rate": 0.5})
    writer.start_fold(len(writer.projection.trials) - 1, 0)
    writer.close()
    part = ask(app, "/s/grows", if_none_match=etag, hx_request="true")
    assert part.code == 200
    assert not part.text.startswith("<!DOCTYPE"), "what changes alone"
    assert "running fold 0, epoch 0" in text_of(part)
    old, new = (int(re.search(r"revision ([\d,]+)", text_of(one))[1]) for one in (first, part))  # type: ignore[index]
    assert new == old + 2


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/s/nofold", "No fold is finished: there are no numbers"),
        ("/s/nofold", "No trial was proposed yet"),
        ("/s/allnan", "No winner"),
        ("/s/allnan", "failed: objective is NaN"),
        ("/s/allnan/t/0", "No fold is finished, so it has no numbers"),
        ("/s/stopped", "the sweep was interrupted, and `ptxsweep resume` goes on"),
        (f"/s/{quote(ODD)}", "the default settings won"),
        ("/s/old", "Sweep old"),
        ("/s/none", "no sweep is named 'none'"),
        ("/s/first/t/99", "found trial '99', expected one of 8 trials from 0"),
        ("/s/first?q=nonsense", "No trial is like that"),
    ],
)
def test_what_is_missing_is_said(app: Any, address: str, words: str) -> None:
    assert words.lower() in text_of(ask(app, address)).lower()


def test_names_never_become_markup(app: Any) -> None:
    for address in ("/", f"/s/{quote(ODD)}", f"/s/{quote(ODD)}/t/0"):
        answer = ask(app, address)
        assert answer.code == 200
        assert "気胸" in answer.text
        assert "<b>気胸" not in answer.text


def test_looking_writes_nothing(app: Any, live_home: Home) -> None:
    def files() -> dict[str, str]:
        found = sorted(live_home.folder.rglob("*"))
        return {str(f): sha256(f.read_bytes()).hexdigest() for f in found if f.is_file()}

    ask(app, "/")
    before = files()
    for address in PAGES:
        assert ask(app, address).code == 200, address
    assert files() == before
    for address in ("/", "/s/first"):
        assert ask(app, address, method="POST").code in (403, 405)


def test_a_page_lives_while_mlflow_is_away(live_home: Home) -> None:
    away = Home.from_environment(live_home.folder, tracking_uri="http://127.0.0.1:9")
    app = create_app(Settings(home=away))
    assert "live from the ledger, MLflow cannot be reached" in text_of(ask(app, "/s/first"))


def test_a_ledger_that_is_away_is_said(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("no database")
    answer = ask(create_app(Settings(home=Home.from_environment(tmp_path))), "/")
    assert answer.code == 503
    assert "The ledger cannot be read" in answer.text


def test_another_sweep_of_the_same_name_is_found(tmp_path: Path) -> None:
    home = Home.from_environment(tmp_path)
    run_sweep(home.ledger_url, "again", num_trials=1, num_completions=1).close()
    app = create_app(Settings(home=home))
    assert ask(app, "/s/again").code == 200
    assert "1 complete" in text_of(ask(app, "/"))
    ledger = Ledger.open(home.ledger_url, "again")
    ledger.storage.delete_study(ledger.study._study_id)
    ledger.close()
    assert ask(app, "/s/again").code == 404
    run_sweep(home.ledger_url, "again", num_trials=2, num_completions=2, seed=3).close()
    shown = text_of(ask(app, "/s/again"))
    assert "2 complete" in shown
    assert "2 complete" in text_of(ask(app, "/"))


def test_a_sweep_without_its_driver_is_an_alarm(tmp_path: Path) -> None:
    home = Home.from_environment(tmp_path)
    run_sweep(home.ledger_url, "left", num_trials=2, num_completions=2).close()
    app = create_app(Settings(home=home))
    writer = Ledger.open(home.ledger_url, "left")
    writer.acquire("host 1, process 2")
    writer.set_sweep_state(SweepState.RUNNING)
    at_work = ask(app, "/s/left")
    assert "No driver is at work" not in at_work.text
    writer.release()
    left = ask(app, "/s/left", if_none_match=at_work.headers["etag"])
    assert "No driver is at work on it; `ptxsweep resume left` goes on." in text_of(left)
    writer.close()


def test_real_trials_are_compared_case_by_case(trained_home: Home) -> None:
    app = create_app(Settings(home=trained_home))
    (name,) = list_sweeps(trained_home.ledger_url)
    shown = text_of(ask(app, f"/compare?t={name}:0&t={name}:1"))
    ledger = Ledger.open(trained_home.ledger_url, name)
    for trial in ledger.projection.trials:
        point = operating_points(ledger.projection, trained_home.sweep_folder(name))[trial.number]
        sizes = [load_table(trained_home.sweep_folder(name) / fold.cases).case_ids.size
                 for fold in trial.folds.values() if fold.cases]  # fmt: skip
        total = sum(size * fold["dice"] for size, fold in zip(sizes, point.folds, strict=True))
        assert score(total / sum(sizes)) in shown.split("Case by case")[1]
    ledger.close()
    figure = json.loads(ask(app, f"/compare/figures?t={name}:0&t={name}:1").body)
    assert figure["figures"][0]["plot"]["data"]


def test_what_the_hold_out_said_is_shown_from_then_on(tiny_home: Home) -> None:
    app = create_app(Settings(home=tiny_home))
    before = ask(app, f"/s/{NAME}")
    assert "No confirmation on held-out cases." in text_of(before)
    known = confirm_now(tiny_home, NAME)
    after = ask(app, f"/s/{NAME}", if_none_match=before.headers["etag"])
    assert after.code == 200
    assert f"Dice on the locked hold-out{score(known.metrics['dice'])}" in text_of(after)
    assert "No confirmation" not in text_of(after)
    assert ask(app, f"/s/{NAME}", if_none_match=after.headers["etag"]).code == 304


def test_pictures_of_cases_are_asked_of_another_process_and_missing_ones_explained(
    app: Any, live_home: Home
) -> None:
    address = "/s/first/t/0/cases"
    assert f'hx-get="{address}"' in ask(app, "/s/first/t/0").text
    first = text_of(ask(app, address))
    assert first.startswith("Drawing pictures"), "the page does not wait"
    assert text_of(ask(app, "/s/second/t/0/cases")).startswith("Those of another trial")
    deadline = time.monotonic() + 120
    while (said := text_of(ask(app, address))).startswith("Drawing"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert said == "No pictures: the tables or weights of trial 0 are gone."
    assert not (live_home.sweep_folder("first") / "pictures").exists()


def test_a_page_that_ends_ends_its_drawing(live_home: Home) -> None:
    drawer, ledgers = Drawer(live_home), Ledgers(Settings(home=live_home))
    with ledgers.opened("first") as one:
        assert "Drawing pictures" in drawer.pictures(one, one.projection.trials[0])
    drawing = drawer._running
    assert drawing is not None
    drawer.close()
    drawer.close()
    ledgers.close()
    assert drawing.returncode is not None


def test_only_complete_trials_have_pictures(app: Any, live_home: Home) -> None:
    ledger = Ledger.open(live_home.ledger_url, "first")
    number = next(t.number for t in ledger.projection.trials if t.state is State.PRUNED)
    ledger.close()
    answer = ask(app, f"/s/first/t/{number}/cases")
    assert (answer.code, "it has no pictures" in answer.text) == (404, True)
    text = text_of(ask(app, f"/s/first/t/{number}"))
    assert re.search(r"Pruned in fold \d, epoch \d+ for 0\.\d+, where it would have gone on", text)
