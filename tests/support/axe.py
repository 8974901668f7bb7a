"""axe-core: what a reader with a keyboard or a screen reader cannot use on a page."""

from __future__ import annotations

from importlib import resources

#: A script that defines `axe`; axe-core, MPL-2.0, as a package of tests ships it.
AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
#: Of its four impacts, those that count as a fault.
SERIOUS = ("serious", "critical")
