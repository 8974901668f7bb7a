from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution
from synthetic_sweeps import operating_points, projection_of

from dashboards.report.page import report_html, write_report
from ptxcore.metrics import CONVENTIONS
from ptxcore.types import Rule
from sweep.ledger import Ledger
from sweep.promotion.confirmation import ChampionBeside, Confirmation
from sweep.promotion.gate import Check, Verdict

AT = datetime(2027, 1, 15, 12, tzinfo=UTC)
EVIL = "<img src=x onerror=alert(1)>"


CONFIRMED = Confirmation(
    sweep="synthetic",
    trial=3,
    metrics={
        "dice": 0.871,
        "dice_all_empty": 0.778,
        "dice_positive": 0.53,
        "hausdorff95_positive_mm": 41.26,
        "hausdorff95_positive_mm_all_empty": 202.1,
        "surface_dice": math.nan,
        "dice_size_q1": 0.21,
        "num_cases_size_q1": 4.0,
        "dice_view_ap": 0.8,
        "dice_view_ap_all_empty": 0.75,
        "num_cases_view_ap": 1.0,
    },
    rule=Rule(),
    default={"dice": 0.86, "dice_positive": 0.5},
    intervals={
        "dice": (0.82, 0.91),
        "gain": (0.042, 0.132),
        "difference": (-0.01, 0.03),
        "hausdorff95_positive_mm": (30.5, 55.0),
        "surface_dice": (math.nan, math.nan),
    },
    num_cases=45,
    num_positive=10,
    num_groups=40,
    confidence=0.95,
    data_hash="5f" * 32,
    plan_digest="a1" * 32,
    holdout_digest="c3" * 32,
    use=1,
    num_uses=1,
    timestamp="2027-01-15T10:00:00+00:00",
    git_sha="0123456789abcdef0123456789abcdef01234567",
    phantom=True,
)
VERDICT = Verdict(
    checks=(Check(name="gain", passed=True, found=f"+0.093 {EVIL}", expected="above +0.000"),)
)


class Page(HTMLParser):
    """Text outside scripts and styles, every element, and whether all of them are closed."""

    VOID = frozenset({"meta", "link", "img", "br", "col", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


@pytest.fixture(scope="module")
def page(sweep: Ledger) -> Page:
    return Page(
        report_html(
            sweep.name, sweep.projection, operating_points=operating_points(sweep),
            confirmation=CONFIRMED, verdict=VERDICT, written_at=AT,
        )
    )  # fmt: skip


def test_it_is_sound_html(page: Page) -> None:
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_it_loads_nothing(page: Page) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:", "#")), f"{tag} loads {address}"
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_plotly_is_inside_once(page: Page) -> None:
    # Light or dark before anything is painted; the figures as data, the library, the page's own.
    assert page.count("script") == 4
    assert page.count("figure") >= 8
    tags = [tag for tag, _ in page.tags]
    early = [place for place, tag in enumerate(tags) if tag == "script"]
    assert early[0] < tags.index("main") < early[1]  # text is read while scripts load


def test_contents_lead_to_every_chapter_and_figure(page: Page) -> None:
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = [str(attributes["href"]) for tag, attributes in page.tags if tag == "a"]
    assert len(links) > 10
    assert {link.removeprefix("#") for link in links} <= ids
    assert page.count("h2") + page.count("figure") <= len(links)


def test_the_command_that_gives_it_again_stands_in_it(page: Page) -> None:
    assert (
        "ptxsweep run synthetic.yaml --store STORE --name synthetic-again --seed 1 --precision "
        "bfloat16"
    ) in page.text


def test_it_says_what_a_reviewer_asks_first(page: Page) -> None:
    for words in (
        "PHANTOM DATA",
        "won with an average precision of",
        "Predicting nothing at all scores a Dice of 0.780",
        "Its difference to the default on the same 5 folds is",
        "The default is the second of the complete trials.",
        "that a full grid would have taken",
        "somewhat too high",
        "locked hold-out: 45 cases of 40 patients, 10 with a pneumothorax",
        "the first use of these cases",
        "+0.093 from predicting nothing (95% interval +0.042 to +0.132)",
        "+0.011 from the default settings (95% interval −0.010 to +0.030)",
        "Hausdorff 95%, mm, positive cases 41.3 30.5 to 55.0 202.1 – lower",
        "Surface Dice at 2 mm – – – – higher",
        "Dice, smallest quarter of masks (4 cases) 0.210 – 0.000 – higher",
        "Dice, view AP (1 case) 0.800 – 0.750 – higher",
        "The gate passed it as champion.",
        CONVENTIONS["dice"],
        "Nadeau and Bengio 2003",
        "0123456789abcdef0123456789abcdef01234567",
        "5f" * 32,
        "a1" * 32,
        "Written 2027-01-15 12:00 UTC",
    ):
        assert words in page.text, words


def test_every_trial_is_in_the_table(page: Page, sweep: Ledger) -> None:
    for one in sweep.projection.trials:
        assert re.search(rf"#{one.number}\b", page.text)
    assert "objective is NaN" in page.text


def test_what_others_wrote_is_text(page: Page) -> None:
    assert EVIL in page.text
    assert not [a for tag, a in page.tags if tag == "img" and "onerror" in a]


def test_hostile_names_stay_text() -> None:
    projection = projection_of(
        [[0.5] * 3, [0.6]],
        parameters=[{EVIL: EVIL}, {EVIL: "2"}],
        distributions={EVIL: CategoricalDistribution((EVIL, "2"))},
    )
    projection.trials[1].reason = "</script><script>alert(1)</script>"
    projection.header = dataclasses.replace(projection.header, space_text=EVIL, extra={EVIL: EVIL})
    hostile = Page(report_html(EVIL, projection, written_at=AT))
    assert hostile.open == []
    assert not [a for tag, a in hostile.tags if tag == "img"]
    assert hostile.count("script") == 4


def test_real_data_is_not_called_a_phantom() -> None:
    text = Page(report_html("real", projection_of([[0.5] * 3]), written_at=AT)).text
    assert "PHANTOM" not in text
    assert "phantom" not in text


def test_an_unconfirmed_winner_is_called_so(sweep: Ledger) -> None:
    text = Page(report_html(sweep.name, sweep.projection, written_at=AT)).text
    assert "has not been confirmed yet" in text


@pytest.mark.parametrize("scores", [[], [[]], [[0.5]], [[0.5, 0.5], [0.4]]])
def test_an_unfinished_sweep_has_a_report(scores: list[list[float]]) -> None:
    page = Page(report_html("early", projection_of(scores), written_at=AT))
    assert "This sweep is not over." in page.text
    assert "No winner yet" in page.text
    for word in ("The winner", "winner #", "Winner", " won "):
        assert word not in page.text


def test_the_file_appears_whole(sweep: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    assert write_report(sweep, path, written_at=AT) == path
    first = path.read_text(encoding="utf-8")
    write_report(sweep, path, written_at=AT)
    assert path.read_text(encoding="utf-8") == first  # the same ledger, the same report
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]


def test_a_hold_out_that_is_worn_out_is_called_so(sweep: Ledger) -> None:
    used = replace(CONFIRMED, default=None, num_uses=4, confidence=0.995)
    refused = Verdict(
        checks=(Check(name="hold-out", passed=False, found="4 uses", expected="1 use"),)
    )
    html = report_html(
        sweep.name, sweep.projection, confirmation=used, verdict=refused, written_at=AT
    )
    text = Page(html).text
    assert "It was use 4 of these cases" in text
    assert "99.5% interval" in text
    assert "The gate refused it." in text
    assert "hold-out 4 uses 1 use refused" in text
    assert "from the default settings (" not in text


def test_the_champion_it_was_compared_with_stands_beside_it(sweep: Ledger) -> None:
    champion = ChampionBeside(
        name="ptxsweep-dice",
        version="3",
        exposure="",
        metrics={"dice": 0.868, "dice_positive": 0.51},
        problem=None,
    )
    intervals = {**CONFIRMED.intervals, "challenge": (-0.012, 0.02)}
    beside = replace(CONFIRMED, champion=champion, intervals=intervals)
    html = report_html(sweep.name, sweep.projection, confirmation=beside, written_at=AT)
    text = Page(html).text
    assert (
        "On the same cases the champion of then (ptxsweep-dice version 3) has a Dice of 0.868, "
        "from which it is +0.003 (95% interval -0.012 to +0.020)." in text.replace("\u2212", "-")
    )
    assert "all empty default champion better Dice 0.871 0.820 to 0.910 0.778 0.860 0.868" in text
    assert (
        "champion"
        not in Page(
            report_html(sweep.name, sweep.projection, confirmation=CONFIRMED, written_at=AT)
        ).text
    )
    gone = replace(beside, champion=replace(champion, metrics=None, problem="cannot be loaded"))
    html = report_html(sweep.name, sweep.projection, confirmation=gone, written_at=AT)
    assert "with the champion of then (ptxsweep-dice version 3), which cannot be load" in html


def test_a_forced_champion_is_called_so(sweep: Ledger) -> None:
    forced = replace(VERDICT, overruled="a demonstration", eased=("max_loss 1 (usually 0.02)",))
    html = report_html(
        sweep.name, sweep.projection, confirmation=CONFIRMED, verdict=forced, written_at=AT
    )
    text = Page(html).text
    assert "It was promoted against the gate, because: a demonstration" in text
    assert "The gate asked for less than usual: max_loss 1 (usually 0.02)." in text
