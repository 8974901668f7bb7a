"""Secrets in texts that somebody will read: messages, logs, the doctor's findings.

Addresses come with passwords, and libraries quote addresses in their errors. Masking errs on the
side of hiding: a text with an `@` far behind an address loses what stands between.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_HIDDEN = "***"
#: A password may hold `:`, `/` and, in what people type, `@`; only a space ends it.
_PASSWORD = re.compile(r"(?<=://)([^\s:/@]*):(\S*)@")
#: A lone name before a web server is a token as often as a user.
_TOKEN = re.compile(r"(?<=https://)[^\s:/@]+@|(?<=http://)[^\s:/@]+@")
_FIELD = re.compile(
    r"((?:pass(?:word|wd)?|pwd|token|secret|credentials?)=|[?&;]\w*(?:key|sig\w*)=)[^&\s;]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(\bBearer\s+)[\w.~+/=-]+", re.IGNORECASE)
_SECRET_NAME = re.compile(r"pass|pwd|token|secret|key|credential", re.IGNORECASE)
_PLACE = re.compile(r"(_FILE|_PATH|_DIR|_FOLDER)$", re.IGNORECASE)
#: A shorter value stands in texts by chance.
_MIN_SECRET = 6


def mask(text: str, environment: Mapping[str, str] | None = None) -> str:
    """A text without passwords and tokens.

    Args:
        text: Any.
        environment: Variables whose secrets are hidden as well; those of the process unless given.
    """
    variables = os.environ if environment is None else environment
    for name, value in variables.items():
        if len(value) >= _MIN_SECRET and is_secret(name) and not _PLACE.search(name):
            text = text.replace(value, _HIDDEN)
    text = _PASSWORD.sub(rf"\1:{_HIDDEN}@", text)
    text = _TOKEN.sub(f"{_HIDDEN}@", text)
    return _BEARER.sub(rf"\1{_HIDDEN}", _FIELD.sub(rf"\1{_HIDDEN}", text))


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret, or says where one lies."""
    return _SECRET_NAME.search(name) is not None
