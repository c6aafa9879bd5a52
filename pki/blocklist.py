"""Public keys that nobody may use any more, because somebody else holds the private one.

A deployment keeps the list: keys found in firmware images, in repositories, or named in an advisory. A key of a
revoked certificate of ours is refused without standing here (`authority.KeyReused`). Lists of weak RSA keys have
no place here, for RSA is refused in every size (`keys.require_leaf_key`).
"""

import re
from dataclasses import dataclass
from typing import Final

from pki.errors import Refused

MAX_BYTES: Final = 16 * 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


class BadBlocklist(Refused):
    """The file of blocked keys is too large, or a line in it is no digest."""

    code = "pki/blocklist"
    title = "List of blocked keys cannot be read"


class KeyBlocked(Refused):
    """The key is on the list of keys whose private part others hold."""

    code = "pki/key-blocked"
    title = "Key is blocked"


@dataclass(frozen=True, slots=True)
class Blocklist:
    """SHA-256 (hex) of the SubjectPublicKeyInfo of every blocked key."""

    digests: frozenset[str] = frozenset()

    def require_free(self, spki_sha256: str) -> None:
        """Passes if the key is not blocked; else KeyBlocked."""
        if spki_sha256 in self.digests:
            raise KeyBlocked("the key is on the list of blocked keys")


NOTHING: Final = Blocklist()


def parse(data: bytes) -> Blocklist:
    """The list in `data`: ASCII, one digest in lower-case hex a line; what follows `#` is a remark. Or BadBlocklist."""
    if len(data) > MAX_BYTES:
        raise BadBlocklist("the list is too large", expected=f"at most {MAX_BYTES} bytes", found=len(data))
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise BadBlocklist("the list is not ASCII") from error
    found = {number: line.partition("#")[0].strip() for number, line in enumerate(lines, start=1)}
    for number, digest in found.items():
        if digest and not _DIGEST.fullmatch(digest):
            raise BadBlocklist("a line is no digest", expected="64 digits of lower-case hex", line=number)
    return Blocklist(frozenset(found.values()) - {""})
