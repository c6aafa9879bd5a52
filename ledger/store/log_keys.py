"""Which keys sign a log's checkpoints: one, or two while the log changes its key (`log.key-rotated`).

The log itself says which key is in force, so a key that somebody only puts beside it signs nothing.
"""

from collections.abc import Callable, Sequence
from typing import Final

from ledger.clock import Clock
from ledger.records.log import KeyRotated
from ledger.store.errors import LogKeyMissing
from ledger.tlog.errors import KeyMalformed
from ledger.tlog.note import NoteSigner, Verifier

MAX_HELD: Final = 2

Rotations = Callable[[], Sequence[KeyRotated]]


class LogKeys:
    """The private keys at hand, in order; what the log says of them decides which sign."""

    def __init__(self, held: Sequence[NoteSigner]) -> None:
        """Raises KeyMalformed unless there are one or two, of one log. Until `follow`, the first one signs."""
        self._rotations: Rotations = tuple
        self._clock: Clock | None = None
        self.held: tuple[NoteSigner, ...] = ()
        self.take(held)

    def take(self, held: Sequence[NoteSigner]) -> None:
        """From now on these are at hand; raises KeyMalformed, changing nothing."""
        vkeys = {one.vkey for one in held}
        names = {one.verifier.name for one in held}
        if not 1 <= len(held) <= MAX_HELD or len(vkeys) != len(held) or len(names) != 1:
            raise KeyMalformed("not the keys of one log", expected=f"1 to {MAX_HELD}, of one name", found=len(held))
        self.held = tuple(held)

    def follow(self, rotations: Rotations, clock: Clock) -> None:
        """From now on the log's own records and the clock decide."""
        self._rotations = rotations
        self._clock = clock

    def signers(self) -> tuple[NoteSigner, ...]:
        """Who signs now, an older key first; raises LogKeyMissing if the key in force is not at hand."""
        changes = self._rotations()
        if not changes:
            return self.held[:1]
        last = changes[-1]
        by_vkey = {one.vkey: one for one in self.held}
        if last.vkey not in by_vkey:
            raise LogKeyMissing("the log's key is not at hand", expected=last.vkey, found=", ".join(by_vkey))
        overlaps = self._clock is not None and self._clock.now_ms() < last.until_ms
        older = by_vkey.get(last.follows) if overlaps else None
        return (by_vkey[last.vkey],) if older is None else (older, by_vkey[last.vkey])

    def next(self) -> tuple[NoteSigner, NoteSigner] | None:
        """(the key in force, the key at hand that shall follow it); None if the log knows all of them."""
        changes = self._rotations()
        known = {vkey for one in changes for vkey in (one.follows, one.vkey)} or {self.held[0].vkey}
        fresh = [one for one in self.held if one.vkey not in known]
        return (self.signers()[-1], fresh[0]) if fresh else None

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """The public halves of those at hand."""
        return tuple(one.verifier for one in self.held)

    def vkeys(self) -> tuple[str, ...]:
        """Every verifier key that the log ever had, as the log says, oldest first.

        With no change on record it is the first one at hand; one that waits to be announced is not among them.
        """
        found = [vkey for one in self._rotations() for vkey in (one.follows, one.vkey)]
        return tuple(dict.fromkeys(found)) or (self.held[0].vkey,)
