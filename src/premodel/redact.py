"""Secrets in URLs: hidden wherever a text is shown, logged or stored. The one rule, in one place."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
MIN_SECRET_LENGTH = 4
"""Characters of a password below which it is not searched for in other texts: it would be found everywhere."""
MAX_KNOWN = 256
WEB = ("http", "https", "ftp", "ftps", "ws", "wss", "git", "ssh", "s3", "gs", "hf")
"""Schemes of which a user is no name that helps, but often a token."""
# Texts, compiled when first used: importing this costs a device nothing.
_URL = r"\b([A-Za-z][A-Za-z0-9+.-]+)://([^\s\"'<>`]*)"
_WHOLE = r"(?s)^([A-Za-z][A-Za-z0-9+.-]+)://(.*)$"
_ENCODED = r"(?i)\b([A-Za-z][A-Za-z0-9+.-]+)(%3A%2F%2F)[^\s\"'<>`]+"
_WHOLE_ENCODED = r"(?i)^([A-Za-z][A-Za-z0-9+.-]+%3A%2F%2F)"
_RELATIVE = r"(/[^\s?#\"'<>]*)\?[^\s\"'<>)\]]*=[^\s\"'<>)\]]*"
_NAMED = (
    r"(?i)((?:\b|_)"
    r"(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|signature|credentials?|keyring)"
    r"\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s;,&\"')\]]+)"
)
_BEARER = r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{12,}"
_PORT = r"(\[[^\]]*\]|[^:\[\]]*)(:\d*)?"
"""A host, and a port if there is one."""
_VERSIONS = r"(/(@?[\w.-]+(@v?\d[\w.-]*)?)?)*"
"""A path in which the sign of users stands before versions, as package servers have it."""
_PUNCTUATION = ".,;:)]}"
_KEY = r"(?=[^/]*\d)(?=[^/]*[A-Za-z])[A-Za-z0-9_~%:=+-]{20,}"
"""A part of a path that looks like a key, as some services have it there."""
_known: dict[str, None] = {}


def redacted(text: str) -> str:
    """A text without the secrets of the URLs in it.

    Of a URL are hidden: its user and password, its query, parameters and fragment, and what in the path of a web
    address looks like a key. Of a database the name of the user stays. So is what follows `password=` and its like,
    and every password that was given to `remember`, however it is written.

    Examples
    --------
    >>> redacted("https://me:word@host/m.onnx?key=1: no such file")
    'https://***@host/m.onnx?***: no such file'
    >>> redacted("postgresql://me:word@host/profiles")
    'postgresql://me:***@host/profiles'
    """
    for secret in list(_known):
        if secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    if "://" in text:
        text = re.sub(_URL, _hide_in_text, text)
    if "%" in text:
        text = re.sub(_ENCODED, rf"\1\2{HIDDEN}", text)
    if "=" in text:
        text = re.sub(_NAMED, rf"\1{HIDDEN}", re.sub(_RELATIVE, rf"\1?{HIDDEN}", text))
    if " " in text:
        text = re.sub(_BEARER, rf"\1 {HIDDEN}", text)
    return text


def redacted_url(url: str) -> str:
    """A text that is one URL as a whole, also where it holds spaces or quotes, without its secrets."""
    encoded = re.match(_WHOLE_ENCODED, url)
    if encoded is not None:
        return f"{encoded[1]}{HIDDEN}"
    found = re.match(_WHOLE, url)
    return redacted(url) if found is None else redacted(f"{found[1]}://{_hide(found[1].lower(), found[2])}")


def remember(secret: str | None) -> None:
    """Hide a password in every text from now on, such as the errors of a driver that was given it."""
    if secret is None or len(secret) < MIN_SECRET_LENGTH or len(_known) >= MAX_KNOWN:
        return
    forms = (secret, unquote(secret), unquote_plus(secret), quote(secret, safe=""), quote(secret), quote_plus(secret))
    _known.update(dict.fromkeys(form for form in forms if len(form) >= MIN_SECRET_LENGTH))


def _hide_in_text(found: re.Match[str]) -> str:
    rest = found[2]
    end = rest[len(rest.rstrip(_PUNCTUATION)) :]
    return f"{found[1]}://{_hide(found[1].lower(), rest[: len(rest) - len(end)])}{end}"


def _hide(scheme: str, rest: str) -> str:
    """What follows the two slashes; nothing of it where it cannot be said which part is which."""
    place = _end(rest, "/?#")
    authority, tail = rest[:place], rest[place:]
    web = scheme.partition("+")[0] in WEB
    head, at, host = authority.rpartition("@")
    user = ""
    if at:
        name = head.partition(":")[0]
        user = f"{HIDDEN}@" if web else f"{name}:{HIDDEN}@" if ":" in head else f"{name}@"
    users = "@" in tail and (at or ":" in authority or not re.fullmatch(_VERSIONS, tail))
    if users or not re.fullmatch(_PORT, host):
        return HIDDEN  # such as a password that holds a slash
    place = _end(tail, "?#")
    path, query = tail[:place], tail[place:]
    bare, parameters, _ = path.partition(";")
    if web:
        bare = "/".join(HIDDEN if re.fullmatch(_KEY, part) else part for part in bare.split("/"))
    return user + host + bare + (f";{HIDDEN}" if parameters else "") + (f"{query[0]}{HIDDEN}" if query[1:] else query)


def _end(text: str, signs: str) -> int:
    """Where the first of some signs stands; the length if there is none."""
    return min((place for place in map(text.find, signs) if place >= 0), default=len(text))
