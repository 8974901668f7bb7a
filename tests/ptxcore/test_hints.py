from __future__ import annotations

from ptxcore.hints import did_you_mean


def test_a_close_name_is_offered_else_all() -> None:
    known = ("workers", "hours")
    assert did_you_mean("worker", known) == "did you mean 'workers'?"
    assert did_you_mean("xyz", known) == "expected one of: workers, hours"
    assert did_you_mean("xyz", ()) == "expected one of: none"
