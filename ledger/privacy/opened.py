"""What came of opening a digest: a value of six kinds, because erased is not lost is not tampered."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn

from ledger.privacy.errors import ErasedData, LostData, RestrictedData, TamperedData, UndisclosedData
from ledger.privacy.openings import ErasureOpening


class State(StrEnum):
    """What became of what a digest commits to."""

    TEXT = "text"
    ERASED = "erased"
    LOST = "lost"
    TAMPERED = "tampered"
    RESTRICTED = "restricted"
    UNDISCLOSED = "undisclosed"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Where the log says that something was erased; `index` is None until the entry is appended."""

    handle: str
    root: str
    size: int
    index: int | None
    opening: ErasureOpening | None
    """None where a restored vault no longer has what the whole tree was made from."""
    excludes: bool = False
    """True where the vault has the whole tree, and the digest is not in it: it did not fall under this tombstone."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The disclosure's text where `state` is TEXT, the tombstone where it is ERASED."""

    state: State
    text: str | None = field(default=None, repr=False)
    uid: bytes | None = field(default=None, repr=False)
    """The subject's random internal id; None for what is nobody's in particular."""
    tombstone: Tombstone | None = None


def refuse(opened: Opened, digest: str) -> NoReturn:
    """Raises the coded error of a state that is not TEXT; a digest is no personal value."""
    if opened.state is State.ERASED and opened.tombstone is not None:
        raise ErasedData("erased lawfully", digest=digest, tombstone=opened.tombstone.handle)
    if opened.state is State.RESTRICTED:
        raise RestrictedData("processing of this subject's data is restricted", digest=digest)
    if opened.state is State.UNDISCLOSED:
        raise UndisclosedData("the digest came without a disclosure", digest=digest)
    if opened.state is State.TAMPERED:
        raise TamperedData("what the vault holds does not open the digest", digest=digest)
    raise LostData("the vault does not have what the log commits to, and no tombstone says why", digest=digest)
