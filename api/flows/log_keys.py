"""The log's keys while the service runs: a key that appears in their file is announced in the log, then it signs."""

from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from api.errors import ApiError
from api.flows.desk import Desk
from api.key_files import HeldKeys, read_log_keys
from ledger.appender import JtiReused
from ledger.errors import LedgerError
from ledger.records.log import KeyRotated
from ledger.rules.errors.violated import RuleViolated
from ledger.store.log_keys import LogKeys

KEY_STREAM: Final = "log/keys"

log = structlog.get_logger()


class KeyWatch:
    """Looks at the file whenever it is asked to; what cannot be read changes nothing."""

    def __init__(self, path: Path, keys: LogKeys, desk: Desk) -> None:
        """From now on the log's own records decide which of `keys` sign."""
        self._path = path
        self._keys = keys
        self._desk = desk
        self._seen: tuple[int, ...] | None = None
        self._held = HeldKeys(keys.held)
        self._refused: str | None = None
        keys.follow(lambda: desk.state.rotations, desk.clock)

    async def once(self) -> None:
        """The keys of the file are at hand, and one that the log does not know yet is announced.

        A failure is logged and raises nothing: the log goes on under the key that it has.
        """
        self._read()
        try:
            await self._announce()
        except (ApiError, LedgerError) as error:
            log.error("the log's next key is not announced", code=error.code)

    async def _announce(self) -> None:
        due = self._keys.next()
        if due is None or self._desk.state.frozen_at is not None or due[1].vkey == self._refused:
            return
        current, fresh = due
        until_ms = self._desk.clock.now_ms() + self._held.overlap_ms
        # Another replica may announce the same key at the same moment.
        try:
            with suppress(JtiReused):
                await self._desk.say(
                    KeyRotated(vkey=fresh.vkey, follows=current.vkey, until_ms=until_ms),
                    KEY_STREAM,
                    jti=f"log-key-{fresh.verifier.key_id:08x}",
                )
        except RuleViolated:
            # It would be refused again, and each refusal is an entry.
            self._refused = fresh.vkey
            raise
        log.warning("the log changes its key", key_id=f"{fresh.verifier.key_id:08x}")

    def _read(self) -> None:
        try:
            found = self._path.stat()
            place = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
            if place == self._seen:
                return
            # A file that is bad is looked at again once somebody has touched it, and complained of once.
            self._seen = place
            held = read_log_keys(self._path)
            self._keys.take(held.signers)
            self._held = held
        except (ApiError, LedgerError, OSError, ValueError) as error:
            log.error("log keys not taken", code=getattr(error, "code", type(error).__name__), file=self._path.name)
