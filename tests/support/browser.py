"""A headless Chromium, where one is installed: what the report looks like, and what it loads.

Used to take the README's picture and to test reports; nothing else needs a browser.

    python -m browser report.html report.png --width 1280 --height 1500
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
#: Of page time, which runs as fast as the machine lets it; the figures are drawn by then.
_PAGE_MILLISECONDS = 10_000
_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What happened when a page was opened.

    Attributes:
        dom: The document after its scripts ran.
        console: Lines that the page wrote to the console, errors among them.
        requests: Addresses the page asked for besides itself and data inside it.
    """

    dom: str
    console: tuple[str, ...]
    requests: tuple[str, ...]


def find_browser() -> str | None:
    """Path of an installed Chromium or Chrome, None without one."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def visit(browser: str, page: Path) -> Visit:
    """Open a local page and let its scripts run.

    Args:
        browser: See `find_browser`.
        page: An HTML file.

    Raises:
        RuntimeError: The browser failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "net.json"
        done = _run(
            browser,
            ["--enable-logging=stderr", f"--log-net-log={log}", "--dump-dom"],
            page,
            Path(folder),
        )
        requests = _requests(json.loads(log.read_text(encoding="utf-8")))
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Visit(dom=done.stdout, console=tuple(console), requests=requests)


def take_picture(browser: str, page: Path, picture: Path, *, width: int, height: int) -> None:
    """Write the top of a page as PNG.

    Args:
        browser: See `find_browser`.
        page: An HTML file.
        picture: PNG file to write.
        width: In CSS pixels.
        height: Likewise.

    Raises:
        RuntimeError: The browser failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = [f"--screenshot={picture.absolute()}", f"--window-size={width},{height}"]
        _run(browser, words, page, Path(folder))


def _run(
    browser: str, words: Sequence[str], page: Path, folder: Path
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [
            browser,
            *_FLAGS,
            f"--user-data-dir={folder / 'profile'}",
            f"--virtual-time-budget={_PAGE_MILLISECONDS}",
            *words,
            page.absolute().as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        tail = done.stderr.strip().splitlines()[-3:]
        raise RuntimeError(f"{browser} ended with exit code {done.returncode}: {' | '.join(tail)}")
    return done


def _requests(log: dict[str, object]) -> tuple[str, ...]:
    """Web addresses that a page asked for; what the browser does for itself has no origin."""
    events = log["events"]
    assert isinstance(events, list)
    found = []
    for event in events:
        params = event.get("params", {})
        address, origin = str(params.get("url", "")), params.get("initiator", "not an origin")
        if address.startswith(("http:", "https:", "ws:", "wss:")) and origin != "not an origin":
            found.append(address)
    return tuple(dict.fromkeys(found))


def main(words: Sequence[str] | None = None) -> int:
    """Take a picture of a page from the command line; exit code 2 without a browser."""
    parser = argparse.ArgumentParser(prog="python -m browser", description=main.__doc__)
    parser.add_argument("page", type=Path, help="HTML file, such as a sweep's report.html")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    parser.add_argument("--width", type=int, default=1280, help="CSS pixels [1280]")
    parser.add_argument("--height", type=int, default=1500, help="CSS pixels [1500]")
    given = parser.parse_args(words)
    browser = find_browser()
    if browser is None:
        print(f"no browser: found none of {', '.join(_NAMES)}; install one", file=sys.stderr)
        return 2
    if not given.page.is_file():
        print(f"{given.page}: no such file", file=sys.stderr)
        return 2
    take_picture(browser, given.page, given.picture, width=given.width, height=given.height)
    return 0


if __name__ == "__main__":
    sys.exit(main())
