"""Secrets in texts that somebody will read: messages, logs, the doctor's findings.

Addresses come with passwords, and libraries quote addresses in their errors. Redacting errs on the
side of hiding: a text with an `@` far behind an address loses what stands between. But a variable
is a secret by the words of its name, not by letters in it, since `PWD` is where somebody works: a
message that hides a path tells nobody what to mend.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote

_HIDDEN = "***"
#: A password may hold `:`, `/` and, in what people type, `@` and spaces; another address ends it.
_PASSWORD = re.compile(r"(\w+)://([^\s:/@]*):((?:(?!\w://)[^\n])*)@")
#: In front of a web page's path, or of what is said of it, a number is a port.
_PORT = re.compile(r"\d{1,5}(?!\S*@)")
#: A lone name before a web server is a token as often as a user.
_TOKEN = re.compile(r"(?<=https://)[^\s:/@]+@|(?<=http://)[^\s:/@]+@")
#: `PWD=/folder` is a shell's place, `PWD=word` a database's password.
_FIELD = re.compile(
    r"((?:pass(?:word|wd)?|token|secret|credentials?)=|(?<!old)pwd=(?!/)"
    r"|[?&;]\w*(?:key|sig\w*)=)[^&\s;]+",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(\bBearer\s+)[\w.~+/=-]+", re.IGNORECASE)

#: Words of a variable's name, as in DB_PASSWORD, PGPASSWORD, AWS_SESSION_TOKEN, HF_TOKEN_READ.
_SECRET_WORD = re.compile(
    r"\w*(PASSWORD|PASSWD|PASSPHRASE)S?|SSHPASS|TOKENS?|SECRETS?|CREDENTIALS?|APIKEYS?",
    re.IGNORECASE,
)
#: Last words of a name that has others before them: PASS counts tests and PWD is a folder alone.
_SECRET_END = ("PASS", "PWD", "KEY", "KEYS", "PAT")
#: Keys that anybody may see: GPG_KEY of Python's images, SORT_KEY and the like.
_PUBLIC = ("GPG", "PGP", "PUBLIC", "PUB", "SORT", "PRIMARY", "FOREIGN", "PARTITION", "HOST")
_PLACE = re.compile(r"(_FILE|_PATH|_DIR|_FOLDER|_HOME)$", re.IGNORECASE)
#: A shorter value stands in texts by chance, one below the second length within other words.
_MIN_SECRET, _MIN_ANYWHERE = 6, 12
#: What people set and every text may hold; in an address it is hidden all the same.
_COMMON = frozenset(
    ("password", "passwd", "postgres", "postgresql", "mlflow", "ptxsweep", "secret", "default")
)


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """A text without passwords and tokens.

    Args:
        text: Any.
        environment: Variables with secrets that are hidden too; those of the process unless given.
    """
    variables = os.environ if environment is None else environment
    for name, value in variables.items():
        if len(value) >= _MIN_SECRET and value.lower() not in _COMMON and is_secret(name, value):
            text = _without(text, value)
        for _, _, password in _PASSWORD.findall(value):  # wherever else it is quoted
            for one in {password, unquote(password)}:
                if len(one) >= _MIN_SECRET and one.lower() not in _COMMON:
                    text = _without(text, one)
    text = _PASSWORD.sub(_hidden, text)
    text = _TOKEN.sub(f"{_HIDDEN}@", text)
    return _BEARER.sub(rf"\1{_HIDDEN}", _FIELD.sub(rf"\1{_HIDDEN}", text))


def shown_uri(uri: str) -> str:
    """An address as it may be shown: without user and password."""
    head, slashes, rest = uri.partition("://")
    host = rest if rest.startswith("/") else rest.rpartition("@")[2]  # a file has no user
    return redact(f"{head}{slashes}{host}")


def is_secret(name: str, value: str) -> bool:
    """Whether a variable of this name holds a secret, and not the place of one."""
    if _PLACE.search(name) or (os.path.isabs(value) and os.path.exists(value)):
        return False
    *before, last = re.split(r"[^A-Za-z0-9]+", name)
    if any(_SECRET_WORD.fullmatch(word) for word in (*before, last)):
        return True
    if last.upper() == "ID" and before:  # AWS_ACCESS_KEY_ID
        *before, last = before
    return bool(before) and last.upper() in _SECRET_END and before[-1].upper() not in _PUBLIC


def _hidden(found: re.Match[str]) -> str:
    scheme, user, _ = found.groups()
    if scheme in ("http", "https") and _PORT.match(found.string, found.start(3)):
        return found[0]
    return f"{scheme}://{user}:{_HIDDEN}@"


def _without(text: str, value: str) -> str:
    if len(value) >= _MIN_ANYWHERE:
        return text.replace(value, _HIDDEN)
    return re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", _HIDDEN, text)
