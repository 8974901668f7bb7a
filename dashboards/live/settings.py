"""What the live page is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sweep.storage.home import Home


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a page is served.

    Attributes:
        home: Home with the sweeps that it shows.
        host: Address it listens on; requests that name another host are refused.
        port: Port it listens on.
        promote_token: What a browser exchanges, once, for leave to decide about promotions; None
            where the page only reads.
        key: File of the private key that signs what is decided; None for none.
    """

    home: Home
    host: str = "127.0.0.1"
    port: int = 8765
    promote_token: str | None = None
    key: Path | None = None
