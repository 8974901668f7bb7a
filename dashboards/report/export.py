"""A report on paper and its figures as pictures, by a Chromium that is installed.

Nothing is downloaded. The page draws its own figures, so the pictures are those of the report.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ptxcore.atomic_file import whole_file
from sweep.errors import UsageError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--window-size=1200,1000",
    # Milliseconds of page time, which runs as fast as the machine lets it.
    "--virtual-time-budget=60000",
)
_TIMEOUT_SECONDS = 300.0
#: Replaces the page by its figures, each as a line of its key and a picture.
_PICTURES = """
<script>window.addEventListener("load", async function () {
  while (!document.documentElement.dataset.drawn) {
    await new Promise(function (go) { setTimeout(go, 50); });
  }
  var out = document.createElement("pre");
  out.id = "pictures";
  for (var place of document.querySelectorAll(".plot")) {
    var box = place._fullLayout;
    var size = {format: "png", width: box.width, height: box.height, scale: 2};
    out.append(place.id.slice(5) + " " + await Plotly.toImage(place, size) + "\\n");
  }
  document.body.replaceChildren(out);
});</script>"""


def find_browser() -> str | None:
    """Path of an installed Chromium or Chrome, None without one."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def check_browser() -> str:
    """Path of an installed Chromium or Chrome.

    Raises:
        UsageError: There is none.
    """
    if (browser := find_browser()) is None:
        raise UsageError(
            f"found none of {', '.join(BROWSERS)}, which draws PDF and PNG: install Chromium "
            "(Debian: apt-get install chromium), or open the report in a browser and print it"
        )
    return browser


def write_pdf(page: Path, file: Path) -> None:
    """Print a report on A4.

    Args:
        page: HTML file of the report.
        file: PDF file to write; its folder is made.

    Raises:
        UsageError: There is no browser, or it failed.
    """
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        whole_file(file) as draft,
    ):
        paper = Path(folder) / "report.pdf"
        _run(["--no-pdf-header-footer", f"--print-to-pdf={paper}"], page, Path(folder))
        draft.write_bytes(paper.read_bytes())


def write_pngs(page: Path, folder: Path) -> tuple[Path, ...]:
    """Write every figure of a report as KEY.png.

    Args:
        page: HTML file of the report.
        folder: Folder for the pictures; made if absent.

    Returns:
        The files, in the order of the page.

    Raises:
        UsageError: There is no browser, or it failed.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        copy = Path(scratch) / "report.html"
        before, _, after = page.read_text(encoding="utf-8").rpartition("</body>")
        copy.write_text(f"{before}{_PICTURES}</body>{after}", encoding="utf-8")
        shown = _run(["--dump-dom"], copy, Path(scratch))
    _, _, found = shown.rpartition('<pre id="pictures">')
    lines = re.findall(r"^([a-z-]+) data:image/png;base64,([\w+/=]+)$", found, re.MULTILINE)
    if not found:
        raise UsageError("the browser did not draw the figures of the report")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for key, picture in lines:
        with whole_file(folder / f"{key}.png") as draft:
            draft.write_bytes(base64.b64decode(picture))
        files.append(folder / f"{key}.png")
    return tuple(files)


def _run(words: Sequence[str], page: Path, scratch: Path) -> str:
    browser = check_browser()
    # Chromium's own sandbox refuses to work for root; the page is ours and may load nothing.
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    profile = f"--user-data-dir={scratch / 'profile'}"
    # Reports of crashes go to the user's own folders, whatever its profile is.
    places = {name: str(scratch) for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    command = [browser, *_FLAGS, *root, profile, *words, page.absolute().as_uri()]
    # Files, not pipes: what a browser started may outlive it and would keep a pipe open.
    said, warned = scratch / "stdout", scratch / "stderr"
    try:
        with said.open("wb") as out, warned.open("wb") as err:
            process = subprocess.Popen(
                command,
                stdout=out,
                stderr=err,
                env={**os.environ, **places},
                start_new_session=True,
            )
            code = _wait(process)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{browser} could not draw the report: {error}") from error
    if code != 0:
        lines = warned.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise UsageError(f"{browser} ended with exit code {code}: {' | '.join(lines[-3:])}")
    return said.read_text(encoding="utf-8")


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Its exit code; what it started ends with it, or where it takes too long."""
    try:
        return process.wait(_TIMEOUT_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
