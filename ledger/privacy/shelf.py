"""What writing, reading and erasing share: two databases, blind indexes, and sealing under two-factor keys."""

import hmac
import itertools
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag

from ledger.clock import Clock
from ledger.privacy import identifiers, openings, padding
from ledger.privacy import keys as keyring
from ledger.privacy.database import Database, Row, listed
from ledger.privacy.errors import KekEpochAbsent, LostData, SubjectUnknown, TamperedData
from ledger.privacy.held import name_label
from ledger.privacy.kekring import NONCE_BYTES
from ledger.privacy.keys import Keys, framed

IDENTITY: Final = ("identity", "always")
"""The key place of a subject's own name: forgotten with the subject, never by time."""
HANDLE_BYTES: Final = 16
MAX_ASKED: Final = 1_000
"""Keys that one query asks for."""


class Shelf:
    """The databases of one vault, and how a value is sealed, opened and found in them."""

    def __init__(self, database: Database, keys: Keys, *, clock: Clock) -> None:
        """Takes both databases over."""
        self.database = database
        self.keys = keys
        self.clock = clock

    def present(self, table: str, key: str, wanted: Iterable[bytes]) -> set[bytes]:
        """Which of these keys the table has; the names are ours."""
        found = self.asked(f"SELECT {key} FROM {table} WHERE {key} IN ({{places}})", wanted)  # noqa: S608 -- our names
        return {bytes(row[0]) for row in found}

    def present_in(self, tables: Sequence[str], digests: Iterable[bytes]) -> list[set[bytes]]:
        """Which of these digests each of the tables has, asked of all of them at once; the names are ours."""
        found: list[set[bytes]] = [set() for _ in tables]
        digests = iter(dict.fromkeys(digests))
        while part := tuple(itertools.islice(digests, MAX_ASKED)):
            places = listed(len(part))
            asked = (f"SELECT {at}, digest FROM {table} WHERE digest IN ({places})" for at, table in enumerate(tables))  # noqa: S608 -- our names
            for at, digest in self.database.rows(" UNION ALL ".join(asked), part * len(tables)):
                found[at].add(bytes(digest))
        return found

    def asked(self, sql: str, wanted: Iterable[bytes]) -> Iterator[Row]:
        """The rows of a query over many keys, `MAX_ASKED` at a time; `{places}` in it stands for the keys."""
        keys = iter(dict.fromkeys(wanted))
        while part := tuple(itertools.islice(keys, MAX_ASKED)):
            yield from self.database.rows(sql.format(places=listed(len(part))), part)

    def uid_of(self, subject: str) -> bytes:
        """The subject's internal id; raises `SubjectUnknown`, the same for never known and forgotten."""
        found = self.database.scalar("SELECT uid FROM subject WHERE tag = ?", (self.subject_tag(subject),))
        if found is None:
            raise SubjectUnknown("the vault holds nothing of that subject")
        return bytes(found)

    def name_of(self, uid: bytes) -> str:
        """The natural id, normalised, behind an internal id; raises `SubjectUnknown`, `LostData`, `TamperedData`."""
        sealed = self.database.scalar("SELECT name FROM subject WHERE uid = ?", (uid,))
        if sealed is None:
            raise SubjectUnknown("the vault holds nothing of that subject")
        return self.unseal(uid, IDENTITY, name_label(uid), sealed).decode("ascii")

    def seal(self, uid: bytes, place: tuple[str, str], label: bytes, data: bytes) -> bytes:
        """`data`, padded, under the two-factor key of (retention class, month); a fresh random 96-bit nonce."""
        return self.sealer(uid, place)(label, data)

    def sealer(self, uid: bytes, place: tuple[str, str]) -> Callable[[bytes, bytes], bytes]:
        """Seals data under labels for one subject and place, within the caller's transaction.

        Raises `PeriodLapsed`, `LostData`.
        """
        self.keys.require_period(*place)
        cipher = self.keys.facet_cipher(uid, *place)
        if cipher is None:
            raise LostData("the subject's key is not in the key database")

        def seal(label: bytes, data: bytes) -> bytes:
            nonce = secrets.token_bytes(NONCE_BYTES)
            return nonce + cipher.encrypt(nonce, padding.pad(data), label)

        return seal

    def unseal(self, uid: bytes, place: tuple[str, str], label: bytes, body: bytes) -> bytes:
        """What was sealed; raises `LostData` where a key is gone, `TamperedData` where the bytes are not ours."""
        try:
            cipher = self.keys.facet_cipher(uid, *place)
        except KekEpochAbsent as error:
            raise LostData("the key's epoch is destroyed") from error
        if cipher is None:
            raise LostData("the key is gone, and no tombstone says why")
        try:
            return padding.unpad(cipher.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], label))
        except (InvalidTag, ValueError) as error:
            raise TamperedData("the ciphertext is not what we wrote") from error

    def attachment_tag(self, sha256: str) -> bytes:
        """The blind index of an attachment's digest."""
        return hmac.digest(self.keys.service_key(keyring.ATTACHMENT), openings.digest_bytes(sha256), "sha256")

    def subject_tag(self, subject: str) -> bytes:
        """The blind index of a subject's natural id."""
        name = identifiers.normalise(subject).encode("ascii")
        return hmac.digest(self.keys.service_key(keyring.LOOKUP), framed(b"flexledger lookup v1", name), "sha256")
