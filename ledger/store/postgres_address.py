"""What the file with a server's address must say, before anybody connects by it.

The driver fills in what an address leaves out: from the environment, from who runs us, from sockets that it guesses.
Of a password with a `@` in it that is not percent-encoded it makes the name of a host. So an address has to say where
it leads, and as whom, or it is refused. No message repeats any of it.
"""

import re
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from ledger.errors import Refused

FORM: Final = "postgresql://user:password@host:port/database, percent-encoded"
FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
"""Parameters that name files."""
MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERIFYING: Final = ("verify-ca", "verify-full")
"""Values of sslmode that need to know whom the server's certificate must be from."""
USUAL_ROOT: Final = Path(".postgresql", "root.crt")
"""Below the home folder: the driver reads it where `sslrootcert` is not given."""

_PORT: Final = re.compile(r":(?![0-9]{1,5}$)[^:\]]*$")
"""A last colon, outside the brackets of an IPv6 address, with something else behind it than a port."""


class AddressUnfit(Refused):
    """The address of a database server says too little, or something that no server can be found by."""

    code = "ledger/address-unfit"
    title = "Database address cannot be used"


def require_address(dsn: str) -> str:
    """The address, which names a host, a database and who we are there, and files that are there; else AddressUnfit."""
    try:
        parts = urlsplit(dsn)
        asked = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise _unfit("not a URI") from None
    missing = _missing(parts, asked)
    if missing is not None:
        raise _unfit(missing)
    for name in FILES:
        if name in asked and not Path(asked[name]).is_file():
            raise AddressUnfit("the address names a file that is not there", expected=f"a file for {name}")
    if asked.get("sslmode") in VERIFYING and not asked.get("sslrootcert"):
        _require_usual_root()
    return dsn


def _missing(parts: SplitResult, asked: dict[str, str]) -> str | None:
    who, _, hosts = parts.netloc.rpartition("@")
    if parts.scheme not in ("postgresql", "postgres"):
        return "another scheme" if parts.scheme else "no scheme"
    if "@" in who or parts.fragment or "@" in parts.path or "@" in parts.query:
        return "a character that must be percent-encoded"
    if not who.partition(":")[0] and not asked.get("user"):
        return "no user"
    named = (hosts or asked.get("host", "")).split(",")
    if not all(named):
        return "no host"
    if any(_PORT.search(host) for host in named):
        return "a port that is none"
    if asked.get("sslmode", MODES[0]) not in MODES:
        return f"an sslmode that is none of {', '.join(MODES)}"
    if not parts.path.strip("/") and not asked.get("dbname"):
        return "no database"
    return None


def _require_usual_root() -> None:
    try:
        root = Path.home() / USUAL_ROOT
    except RuntimeError:
        root = USUAL_ROOT
    if not root.is_file():
        raise AddressUnfit(
            "the address wants the server's certificate verified, and does not say by which authorities",
            expected=f"sslrootcert=..., or ~/{USUAL_ROOT}",
        )


def _unfit(found: str) -> AddressUnfit:
    return AddressUnfit("the file does not hold a server's address", expected=FORM, found=found)
