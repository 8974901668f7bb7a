"""What every page of the live view has, and what it says where there is nothing to show."""

from __future__ import annotations

from pathlib import Path

from live_page import ask

from dashboards.live.app import create_app
from dashboards.live.settings import Settings
from sweep.storage.home import Home


def test_a_home_without_a_sweep_is_said_and_stays_empty(tmp_path: Path) -> None:
    app = create_app(Settings(home=Home.from_environment(tmp_path / "home")))
    found = ask(app, "/")
    assert found.code == 200
    assert "No sweep was started in" in found.text
    assert not (tmp_path / "home").exists()
    assert ask(app, "/nothing").code == 404


def test_every_answer_forbids_what_is_not_of_this_server(tmp_path: Path) -> None:
    app = create_app(Settings(home=Home.from_environment(tmp_path)))
    for path in ("/", "/nothing", "/assets/live.js"):
        policy = ask(app, path).headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
    assert ask(app, "/").headers["cache-control"] == "no-store"
    assert ask(app, "/assets/report.css").headers["content-type"].startswith("text/css")
    assert ask(app, "/assets/page.py").code == 404
