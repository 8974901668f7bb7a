"""`/promote/NAME`: look at the evidence for a challenger, case by case, and decide about it.

Decisions go through the functions behind `ptxsweep approve` and `ptxsweep reject`, so whatever they
refuse is refused here. A form carries the revision of the ledger's record that its page showed, and
counts only while that is the present one: of two browsers the second is told what the first did.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from dashboards.live.decision_form import MAX_NAME, Looker, Said, hindrances
from dashboards.live.guard import Reviewer, form_of, reviewer_of
from dashboards.live.held_out_cases import HardCase, case_page, hard_cases
from dashboards.live.page import Page, plain
from dashboards.live.promotion_page import lead, promotion_page
from dashboards.live.registry import promote_url
from dashboards.live.settings import Settings
from ptxcore.errors import CoreError
from sweep.errors import (
    ChampionMoved,
    LedgerError,
    StorageError,
    SweepError,
    TrackingError,
    UsageError,
)

if TYPE_CHECKING:
    from sweep.promotion.confirmation import Confirmation
    from sweep.promotion.dossier import Dossier
    from sweep.promotion.opened_cases import OpenedCases


def routes(settings: Settings) -> list[BaseRoute]:
    """Where these pages are."""
    pages = _Pages(settings)
    return [
        Route("/promote/{name}", pages.show, methods=["GET"]),
        Route("/promote/{name}", pages.decide, methods=["POST"]),
        Route("/promote/{name}/case/{number:int}", pages.case, methods=["GET"]),
    ]


class _Pages:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: OpenedCases | None = None

    def show(self, request: Request) -> Response:
        """The page of one sweep's model."""
        return self._page(request, self._gather(request))

    def _gather(self, request: Request) -> Dossier:
        from sweep.promotion.dossier import gather

        return gather(self._settings.home, request.path_params["name"])

    def _page(
        self, request: Request, seen: Dossier, said: Said | None = None, code: int = 200
    ) -> Response:
        cases, reviewer = self._cases(seen), reviewer_of(request)
        looker = Looker()
        if reviewer is not None:
            looker = Looker(csrf=reviewer.csrf, opened=_opened(reviewer, seen, cases))
        body = promotion_page(seen, cases, looker, said)
        return plain(request, Page(title=f"Promotion: {seen.model.name}", body=body, code=code))

    def _cases(self, seen: Dossier) -> tuple[HardCase, ...] | str:
        """Those to be opened, or why there are none."""
        found = _confirmation(seen)
        if found is None:
            return "the hold-out was not opened for it"
        from sweep.promotion.opened_cases import opened_table

        try:
            return hard_cases(opened_table(self._settings.home, found), found.rule)
        except (UsageError, StorageError) as error:
            return str(error)

    def case(self, request: Request) -> Response:
        """One case; it counts as opened when its picture is there."""
        seen = self._gather(request)
        cases, found, number = self._cases(seen), _confirmation(seen), request.path_params["number"]
        if isinstance(cases, str) or found is None or not 1 <= number <= len(cases):
            raise HTTPException(404)
        from sweep.promotion.opened_cases import OpenedCases

        self._opened = self._opened or OpenedCases(self._settings.home)
        wanted, shown = cases[number - 1], None
        try:
            shown = self._opened.segment(found, wanted.case_id)
        except (CoreError, UsageError, StorageError) as error:
            body = case_page(lead(seen), cases, number, str(error), promote_url(seen.model.name))
        else:
            body = case_page(lead(seen), cases, number, shown, promote_url(seen.model.name))
            reviewer = reviewer_of(request)
            if reviewer is not None and "sec-purpose" not in request.headers:  # else a prefetch
                reviewer.opened.add(_key(found, wanted))
        return plain(request, Page(title=f"Case {number}: {seen.model.name}", body=body))

    def decide(self, request: Request) -> Response:
        """Approve, deny, or ask for more; then the page again, with what became of it."""
        form, seen, reviewer = form_of(request), self._gather(request), reviewer_of(request)
        assert reviewer is not None, "the guard takes forms of reviewers alone"
        try:
            self._decide(form, seen, reviewer)
        except ChampionMoved as error:
            return self._again(request, f"Too late. {error}", form, 409)
        except (TrackingError, LedgerError) as error:
            return self._again(request, f"Nothing was decided. {error}", form, 503)
        except (SweepError, CoreError) as error:
            return self._again(request, f"Nothing was decided. {error}", form, 422)
        return RedirectResponse(promote_url(seen.model.name), 303)

    def _again(self, request: Request, text: str, form: Mapping[str, str], code: int) -> Response:
        return self._page(request, self._gather(request), Said(text=text, form=form), code)

    def _decide(self, form: Mapping[str, str], seen: Dossier, reviewer: Reviewer) -> None:
        from sweep.promotion import approval

        name, reason = (" ".join(form.get(key, "").split()) for key in ("reviewer", "reason"))
        if not name or not reason or len(name) > MAX_NAME:
            raise UsageError(
                f"found {'no name' if not name else 'no reason' if not reason else 'a long name'}, "
                f"expected a name of at most {MAX_NAME} characters and a reason"
            )
        home, model, key = self._settings.home, seen.model.name, self._settings.key
        try:
            revision = int(form.get("revision", ""))
        except ValueError:
            raise UsageError("found no revision in the form; load the page again") from None
        how: dict[str, Any] = {"key": key, "reason": reason, "reviewer": name}
        is_seen = revision == seen.model.revision  # else what is called says what happened since
        match form.get("decision"):
            case "approve" | "reject" if is_seen and seen.challenger is None:
                raise UsageError("; ".join(seen.hindrances))
            case "approve":
                if is_seen:
                    self._refuse_hindered(seen, reviewer)
                approval.approve(home, model, **how, revision=revision)
            case "reject":
                approval.reject(home, model, **how, revision=revision)
            case "ask" if seen.evidence is not None:
                approval.ask_for_more(home, model, **how, sweep=seen.evidence.sweep)
            case other:
                raise UsageError(f"found the decision {other!r}, expected approve, reject or ask")

    def _refuse_hindered(self, seen: Dossier, reviewer: Reviewer) -> None:
        cases = self._cases(seen)
        if reasons := hindrances(seen, cases, _opened(reviewer, seen, cases)):
            raise UsageError("; ".join(reasons))


def _confirmation(seen: Dossier) -> Confirmation | None:
    return None if seen.evidence is None else seen.evidence.confirmation


def _key(found: Confirmation, case: HardCase) -> tuple[str, ...]:
    return (found.sweep, str(found.use), str(found.trial), case.case_id)


def _opened(reviewer: Reviewer, seen: Dossier, cases: tuple[HardCase, ...] | str) -> set[int]:
    found = _confirmation(seen)
    if found is None or isinstance(cases, str):
        return set()
    return {i for i, case in enumerate(cases) if _key(found, case) in reviewer.opened}
