"""A headless Chromium, where one is installed: what the report looks like, and what it loads.

Used to take the README's picture and to test reports; nothing else needs a browser.

    python -m browser report.html report.png --width 1280 --height 1500
"""

from __future__ import annotations

import argparse
import html
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from dashboards.report.export import BROWSERS, find_browser

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
_PAGE_MILLISECONDS = 20_000
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


def measure(browser: str, page: Path, code: str, *, width: int, height: int = 800) -> Any:
    """What a page says of itself when it is as wide as this.

    Args:
        browser: See `find_browser`.
        page: An HTML file that sets `data-drawn` when it is done, as reports do.
        code: JavaScript for a copy of the page, body of an async function; returns plain values.
        width: In CSS pixels; a window has a least width, so a frame is as wide.
        height: Likewise.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = (
            "<script>(async function () {"
            "while (!document.documentElement.dataset.drawn) "
            "{ await new Promise(function (go) { setTimeout(go, 50); }); }"
            f"var found = await (async function () {{ {code} }})();"
            'parent.postMessage(JSON.stringify(found), "*"); })();</script>'
        )
        before, _, after = page.read_text(encoding="utf-8").rpartition("</body>")
        (folder / "page.html").write_text(f"{before}{script}</body>{after}", encoding="utf-8")
        (folder / "frame.html").write_text(
            '<pre id="found"></pre><script>addEventListener("message", function (event) '
            '{ document.getElementById("found").textContent = event.data; });</script>'
            f'<iframe src="page.html" width="{width}" height="{height}" frameborder="0"></iframe>',
            encoding="utf-8",
        )
        shown = _run(browser, ["--dump-dom"], folder / "frame.html", folder).stdout
    _, _, rest = shown.partition('<pre id="found">')
    return json.loads(html.unescape(rest.partition("</pre>")[0]))


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
        print(f"no browser: found none of {', '.join(BROWSERS)}; install one", file=sys.stderr)
        return 2
    if not given.page.is_file():
        print(f"{given.page}: no such file", file=sys.stderr)
        return 2
    take_picture(browser, given.page, given.picture, width=given.width, height=given.height)
    with Image.open(given.picture) as image:  # a repository keeps every version of it
        image.convert("RGB").quantize(128).save(given.picture, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
