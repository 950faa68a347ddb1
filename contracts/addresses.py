"""Addresses of services: printed without their secrets, and read with a password that stands beside them."""

from __future__ import annotations

import re
from urllib.parse import quote

HIDDEN = "***"
ENCODE = "In a password, write % as %25, / as %2F, # as %23, ? as %3F, @ as %40, [ as %5B and ] as %5D."

# An address that is written as it should be. In any other, nobody can say where the password ends.
_ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?:(?P<user>[^/?#@:\s\[\]]*)(?P<password>:[^/?#@\s\[\]]*)?@)?"
    r"(?P<place>(?:[\w.-]+|\[[0-9a-fA-F:.]+\])?(?::\d+)?(?:/[^?#@\s]*)?)"
    r"(?:\?(?P<query>[\w.-]+=[^&@#\s]*(?:&[\w.-]+=[^&@#\s]*)*))?"
)
# Nobody logs in to a file: its path may hold anything. With a ? it is read as an address that has options.
_FILE = re.compile(r"(?:sqlite|file):///[^?]*")
_HARMLESS = frozenset({"db"})


def is_well_written(url: str) -> bool:
    """Whether it can be told where everything in this address begins and ends."""
    return _ADDRESS.fullmatch(url) is not None


def printable_address(url: str) -> str:
    """The address as it may be printed or logged: without its password, wherever that stands.

    >>> printable_address("redis://ada:secret@host:6379/0?ssl_password=x&db=2")
    'redis://ada:***@host:6379/0?ssl_password=***&db=2'
    >>> printable_address("redis://:12#secret@host:6379/0")  # what follows # is no part of a host
    'redis://***'
    """
    parts = _ADDRESS.fullmatch(url)
    if parts is None and _FILE.fullmatch(url):
        return url
    if parts is None:
        scheme, separator, _ = url.partition("://")
        # Of a web address a password stands before @ or behind =; another kind may have one in the place of its port.
        if not {"@", "=", "#"} & set(url) and (not separator or scheme in ("http", "https")):
            return url
        return f"{scheme}://{HIDDEN}" if separator and scheme.isalpha() else HIDDEN
    user, password, query = parts["user"], parts["password"], parts["query"]
    who = "" if user is None else f"{user}{'' if password is None else ':' + HIDDEN}@"
    options = "" if query is None else "?" + "&".join(map(_printable_option, query.split("&")))
    return f"{parts['scheme']}://{who}{parts['place']}{options}"


def with_password(url: str, password: str) -> str:
    """The address with a password as it is, in an address that names none."""
    parts = _ADDRESS.fullmatch(url)
    if parts is None or parts["password"] is not None:
        return url
    rest = url.removeprefix(f"{parts['scheme']}://").removeprefix(f"{parts['user'] or ''}@")
    return f"{parts['scheme']}://{parts['user'] or ''}:{quote(password, safe='')}@{rest}"


def _printable_option(option: str) -> str:
    name, _, _ = option.partition("=")
    return option if name in _HARMLESS else f"{name}={HIDDEN}"
