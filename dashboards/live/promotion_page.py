"""The page on which a person decides: what would change, on what evidence, and then three buttons.

The buttons stand below the evidence, and a reason beside them, so that nobody decides above it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dashboards.live.decision_form import Looker, Said, decision_form
from dashboards.live.held_out_cases import HardCase, case_list
from dashboards.live.page import status_line, sweep_url
from dashboards.live.registry import meter, moment, promote_url, timeline
from dashboards.report.held_out import held_out
from dashboards.report.markup import Markup, join, table, tag
from dashboards.text import score

if TYPE_CHECKING:
    from sweep.promotion.confirmation import Confirmation
    from sweep.promotion.dossier import Dossier, Evidence
    from sweep.promotion.overview import RegisteredVersion


def promotion_page(
    seen: Dossier,
    cases: tuple[HardCase, ...] | str,
    looker: Looker,
    said: Said | None = None,
) -> Markup:
    """The page.

    Args:
        seen: What is known.
        cases: Those that have to be opened, or why there are none.
        looker: The one who looks.
        said: What became of the last form.
    """
    model, evidence = seen.model, seen.evidence
    waits = seen.challenger is not None
    found = None if evidence is None else evidence.confirmation
    parts = [
        status_line(tag("a", "Registry", href="/registry"), f"record revision {model.revision}"),
        None if said is None else tag("p", said.text, class_="banner", role="alert"),
        tag("h1", f"Promotion: {model.name}"),
        tag("p", lead(seen), class_="lead"),
        _last_decision(seen),
        _in_the_way(seen),
        None if evidence is None or not evidence.header.is_phantom else _phantom(),
        _section("change", "What would change" if waits else "In force now", _change(seen)),
        _section("evidence", "Evidence", held_out(found, seen.verdict, subject=_subject(evidence))),
    ]
    if found is not None:
        parts += [
            _section("parts", "Parts of the cases", _subgroups(found)),
            _section("cases", "Cases to look at", _cases(model.name, cases, looker, waits)),
            _section("rests", "What it rests on", _hashes(found, seen.challenger)),
        ]
    parts += [
        _section("asked", "Asked and answered before", _before(seen)),
        _section("decision", "Decision", decision_form(seen, cases, looker, said)),
    ]
    return join(parts)


def lead(seen: Dossier) -> str:
    """What would change, in a sentence."""
    model, evidence = seen.model, seen.evidence
    if seen.challenger is None:
        if evidence is None or evidence.trial is None:
            return "There is nothing to decide."
        champion = seen.champion
        if champion is not None and (champion.sweep, champion.trial) == (
            evidence.sweep,
            evidence.trial,
        ):
            return f"Version {champion.number} is champion; nothing waits for a decision."
        return f"Trial #{evidence.trial} of {evidence.sweep} waits for no decision."
    new = f"Version {seen.challenger.number}"
    if seen.challenger.trial is not None:
        new += f" (trial #{seen.challenger.trial} of {seen.challenger.sweep})"
    if model.champion is None:
        return f"{new} would become the first champion."
    return f"{new} would replace version {model.champion} as champion."


def _section(key: str, title: str, content: Markup | None) -> Markup | None:
    return None if content is None else tag("section", tag("h2", title), content, id=key)


def _subject(evidence: Evidence | None) -> str:
    if evidence is None or evidence.trial is None:
        return "the winner"
    return f"trial #{evidence.trial}"


def _phantom() -> Markup:
    return tag(
        "p",
        tag("strong", "Phantom. "),
        "The cases are drawn, not patients: nothing here says how good it is on radiographs.",
        class_="banner",
    )


def _last_decision(seen: Dossier) -> Markup | None:
    """What was decided last, where nothing waits."""
    from sweep.promotion.move import happened

    kinds = ("approval", "rejection", "promotion", "rollback")
    last = [one for one in seen.model.history if one["kind"] in kinds]
    if seen.challenger is not None or not last:
        return None
    _, *words = happened(last[-1])
    return tag(
        "p",
        tag("strong", f"Last decision: {last[-1]['kind']}. "),
        f"{moment(str(last[-1]['at']))}; {'; '.join(words)}.",
        class_="notice",
    )


def _in_the_way(seen: Dossier) -> Markup | None:
    if not seen.hindrances:
        return None
    sentences = [f"{one[0].upper()}{one[1:]}." for one in seen.hindrances]
    if seen.challenger is None:
        return tag("p", " ".join(sentences), class_="notice")
    items = (tag("li", one) for one in sentences)
    return tag(
        "div", tag("strong", "It cannot be approved here."), tag("ul", *items), class_="banner"
    )


def _change(seen: Dossier) -> Markup | None:
    model = seen.model
    rows = [
        (name, *_facts(version))
        for name, version in (("champion now", seen.champion), ("would be", seen.challenger))
        if version is not None
    ]
    if not rows:
        return None
    head = (
        "which",
        "version",
        "from",
        "registered",
        "verdict",
        "Dice on its hold-out",
        "all empty",
    )
    asked = model.request
    return join(
        (
            table(head, rows, label="Champion now and then", numeric=(1, 5, 6)),
            None
            if asked is None or seen.challenger is None
            else tag("p", f"Asked for by {asked['name'] or asked['by']}, {moment(asked['at'])}."),
            tag(
                "p",
                "Whoever loads ",
                tag("code", f"models:/{model.name}@champion"),
                " gets the new version from then on; the one before stays at hand as ",
                tag("code", "previous"),
                ", and ",
                tag("code", "ptxsweep rollback"),
                " brings it back.",
                class_="small",
            ),
        )
    )


def _facts(version: RegisteredVersion) -> tuple[object, ...]:
    origin: object = "–"
    if version.sweep is not None:
        trial = "" if version.trial is None else f" trial #{version.trial}"
        origin = join((tag("a", version.sweep, href=sweep_url(version.sweep)), trial))
    return (
        version.number,
        origin,
        _day(version.created),
        version.verdict,
        score(version.holdout_dice),
        score(version.holdout_dice_all_empty),
    )


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d")


def _subgroups(found: Confirmation) -> Markup:
    """Dice above the default's and the champion's on parts of the cases."""
    if not found.subgroups:
        return tag("p", "There is no default and no champion to compare parts with.")
    shown: list[Markup] = []
    for rival, parts in found.subgroups.items():
        rows = [
            (
                part.words,
                part.num_cases,
                part.num_groups,
                part.span,
                "worse" if part.high is not None and part.high < 0 else "–",
            )
            for part in parts
        ]
        classes = ["worse" if row[-1] == "worse" else None for row in rows]
        head = ("part", "cases", "patients", f"Dice above the {rival}'s", "worse with confidence")
        label = f"Parts against the {rival}"
        shown.append(table(head, rows, label=label, numeric=(1, 2), row_classes=classes))
    note = (
        "Intervals over patients, corrected for the number of parts; both empty count as a Dice "
        "of 1."
    )
    return join((*shown, tag("p", note, class_="small")))


def _cases(model: str, cases: tuple[HardCase, ...] | str, looker: Looker, waits: bool) -> Markup:
    if isinstance(cases, str):
        return tag("p", f"No case can be opened: {cases}.")
    if not cases:
        return tag("p", "The hold-out has no positive case, and no false alarm was raised.")
    url = promote_url(model, "case")
    must_open = waits and looker.csrf is not None
    return case_list(cases, looker.opened, url, must_open=must_open)


def _hashes(found: Confirmation, challenger: RegisteredVersion | None) -> Markup:
    rows: list[tuple[object, object]] = [
        ("uses of these cases, at this time", meter(found.num_uses)),
        ("data", tag("code", found.data_hash)),
        ("fold plan", tag("code", found.plan_digest)),
        ("cases of the hold-out", tag("code", found.holdout_digest)),
        ("code that scored", tag("code", found.git_sha)),
        ("scored", moment(found.timestamp)),
    ]
    if challenger is not None:
        rows += [
            ("files of the model", tag("code", challenger.package_sha256 or "unknown")),
            ("verdict", tag("code", challenger.verdict_sha256 or "unknown")),
        ]
        if challenger.holdout_uses != found.num_uses:
            rows.insert(1, ("uses of these cases, now", meter(challenger.holdout_uses)))
    return table(("what", "value"), rows, label="Digests of the evidence")


def _before(seen: Dossier) -> Markup | None:
    """What other reviewers wanted to know, and how they decided."""
    questions = () if seen.evidence is None else seen.evidence.questions
    items = (
        tag(
            "li",
            tag("span", moment(one["at"]), class_="at"),
            " ",
            tag("strong", "asked for more"),
            f": {one['reason']} ({one['reviewer'] or one['by']}, by {one['by']})",
        )
        for one in reversed(questions)
    )
    asked = tag("ol", *items, class_="timeline questions") if questions else None
    history = timeline(seen.model.history, num_shown=5)
    return None if asked is None and history is None else join((asked, history))
