"""The actors' signatures of a span's statements: who signed is asked for each, every key is read once."""

from typing import Final

from ledger.audit.report import Code
from ledger.errors import LedgerError
from ledger.records import jws
from ledger.records import statement as statements
from ledger.records.actor import Actor
from ledger.records.entry import Entry
from ledger.verify import Resolve

MAX_KEYS: Final = 4096
"""Public keys that are kept in memory."""

Wrong = tuple[Code, LedgerError]


class Signatures:
    """Checks the statements of one process."""

    def __init__(self, resolve: Resolve) -> None:
        """`resolve` says who signed, and raises a LedgerError if nobody vouches for the certificate."""
        self._resolve = resolve
        self._keys: dict[bytes, jws.PublicKey] = {}

    def judge(self, made: Entry) -> Actor | Wrong:
        """Who signed the statement of an entry, or what is wrong with it."""
        try:
            parsed = jws.parse(made.stmt)
            statement = statements.read_parsed(parsed)
        except LedgerError as error:
            return Code.ENTRY_MALFORMED, error
        try:
            actor = self._resolve(statement.header.x5t, made)
        except LedgerError as error:
            return Code.SIGNER_UNKNOWN, error
        try:
            jws.open_jws(parsed, self._key(actor.key_spki))
            statements.require_party(statement, actor)
        except LedgerError as error:
            return Code.SIGNATURE_INVALID, error
        return actor

    def _key(self, spki: bytes) -> jws.PublicKey:
        key = self._keys.get(spki)
        if key is None:
            key = jws.load_key(spki)
            if len(self._keys) < MAX_KEYS:
                self._keys[spki] = key
        return key
