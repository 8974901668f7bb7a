"""Whether MLflow answers. No page needs it: all come from the ledger, and say when it is away."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing
from urllib.parse import urlsplit

#: Seconds for which an answer counts, and those waited for one.
_GOOD_FOR, _PATIENCE = 30.0, 1.0


class Tracking:
    """Looks at a server's port now and then, beside the requests."""

    def __init__(self, uri: str) -> None:
        """Nothing is asked yet.

        Args:
            uri: Address of MLflow; only one of a server can be away.
        """
        parts = urlsplit(uri)
        self._place: tuple[str, int] | None = None
        if parts.scheme in ("http", "https") and parts.hostname:
            usual = 443 if parts.scheme == "https" else 80
            self._place = (parts.hostname, parts.port or usual)
        self._asked_at, self._is_away = -_GOOD_FOR, False
        self._lock = threading.Lock()

    def is_away(self) -> bool:
        """Whether nothing listened when it was last looked."""
        if self._place is None:
            return False
        with self._lock:
            if time.monotonic() - self._asked_at >= _GOOD_FOR:
                self._asked_at = time.monotonic()
                self._is_away = not _listens(self._place)
            return self._is_away


def _listens(place: tuple[str, int]) -> bool:
    try:
        with closing(socket.create_connection(place, timeout=_PATIENCE)):
            return True
    except OSError:
        return False
