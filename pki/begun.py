"""A later ceremony that was begun: what it is going to make, written down before anything is made.

After a kill the same file, performed again, finishes the very same ceremony: generations that are there stay, a key
that was saved gets its certificate, and what an order made is found by the order. Until it is finished no other
ceremony begins here, for both would count generations.
"""

from pathlib import Path
from typing import Final

import msgspec

from pki import durable, plain_file
from pki.errors import Broken, Refused
from pki.store.records import CertificateStore

FILE: Final = "begun.json"
MAX_BEGUN_BYTES: Final = 65_536


class CeremonyUnfinished(Refused):
    """A ceremony was begun here and is not finished: it is performed again, from its own file, before another one."""

    code = "pki/ceremony-unfinished"
    title = "A ceremony is not finished"


class BegunUnreadable(Broken):
    """What a ceremony wrote down when it began cannot be read."""

    code = "pki/begun-unreadable"
    title = "Begun ceremony cannot be read"


class Begun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`plan` has the name of the authority that each step makes ("fo-g2"), or None for a step that makes none."""

    ceremony: str
    spec_sha256: str
    at_ms: int
    plan: tuple[str | None, ...]


def begin(folder: Path, wanted: Begun) -> Begun:
    """What stands written down for this ceremony, on the medium: as it was begun, if it was begun before.

    Raises `CeremonyUnfinished` while another one, or another file of the same id, is not finished.
    """
    held = _held(folder)
    if held is None:
        folder.mkdir(exist_ok=True)
        durable.write(folder / FILE, msgspec.json.format(msgspec.json.encode(wanted), indent=2))
        return wanted
    if (held.ceremony, held.spec_sha256) != (wanted.ceremony, wanted.spec_sha256):
        raise CeremonyUnfinished(
            "finish it first, with the file that it was begun with",
            expected=f"{held.ceremony} ({held.spec_sha256[:16]})",
            found=f"{wanted.ceremony} ({wanted.spec_sha256[:16]})",
        )
    return held


def is_begun(folder: Path, wanted: Begun) -> bool:
    """Whether this very ceremony was begun before and is not finished."""
    held = _held(folder)
    return held is not None and (held.ceremony, held.spec_sha256) == (wanted.ceremony, wanted.spec_sha256)


def tidy(folder: Path, store: CertificateStore) -> None:
    """What a ceremony left that was killed after it was done is taken away."""
    held = _held(folder)
    if held is not None and store.ceremony(held.ceremony) is not None:
        end(folder)


def end(folder: Path) -> None:
    """Nothing is begun here any more."""
    (folder / FILE).unlink(missing_ok=True)


def _held(folder: Path) -> Begun | None:
    try:
        data = plain_file.read(folder / FILE)
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(data[: MAX_BEGUN_BYTES + 1], type=Begun)
    except msgspec.DecodeError as error:
        raise BegunUnreadable("not what a ceremony writes", file=FILE) from error
