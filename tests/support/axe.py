"""axe-core: what a reader with a keyboard or a screen reader cannot use on a page."""

from __future__ import annotations

from importlib import resources

from playwright.sync_api import Page

#: A script that defines `axe`; axe-core, MPL-2.0, as a package of tests ships it.
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
#: Of its four impacts, those that count as a fault.
SERIOUS = ("serious", "critical")


def serious(page: Page) -> list[str]:
    """Rules that a page breaks seriously."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run().then(found => found.violations)")
    return [one["id"] for one in found if one["impact"] in SERIOUS]
