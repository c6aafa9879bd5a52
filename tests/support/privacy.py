"""For tests of the vault: a log that is a list, disclosures, and entries such as the ledger makes."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.clock import SetClock
from ledger.privacy.exports.rows import ExportRow
from ledger.privacy.exports.writer import Release
from ledger.privacy.held import Held
from ledger.privacy.vault import Vault
from ledger.records import canonical, disclosure, entry, jws, statement
from ledger.records.disclosure import Disclosure
from ledger.records.marks import Category
from ledger.records.record import Record
from ledger.tlog import checkpoint, hashing, merkle
from ledger.tlog.notekeys import NoteSigner

NOW_MS = 1_795_000_000_000
"""A day of November 2026."""
ORIGIN = "log.example/flex"


@dataclass(frozen=True)
class Entered:
    index: int


@dataclass
class Log:
    """What the ledger would have taken, in order; `crash_after` raises once that many records are in."""

    records: list[Record] = field(default_factory=list)
    crash_after: int | None = None
    crash_before: int | None = None

    async def record(self, said: Record) -> Entered:
        if self.crash_before == len(self.records):
            self.crash_before = None
            raise Crash
        self.records.append(said)
        if self.crash_after == len(self.records):
            self.crash_after = None
            raise Crash
        return Entered(len(self.records) - 1)

    async def recorded(self, said: Record) -> Entered | None:
        return Entered(self.records.index(said)) if said in self.records else None

    def of(self, kind: type[Record]) -> list[Record]:
        return [one for one in self.records if isinstance(one, kind)]


def saved(release: Release, path: Path) -> Path:
    """The export as its recipient has it; nothing of it is left here."""
    with closing(release), path.open("xb") as file:
        for piece in release.pieces():
            file.write(piece)
    assert path.stat().st_size == release.size
    return path


class Crash(Exception):
    """The process dies here."""


def held(
    value: object,
    subject: str | None,
    name: str = "evse_id",
    retention: str = "P2Y",
    category: Category = Category.LOCATION,
) -> Held:
    made = disclosure.make(statement.new_salt(), name, value)
    return Held(text=made.text, subject=subject, category=category, retention=retention)


def digest_of(one: Held) -> str:
    return disclosure.digest(one.text)


class Ledger:
    """Entries with disclosures, one tree, one checkpoint."""

    def __init__(self, vault: Vault, clock: SetClock) -> None:
        self.vault = vault
        self.clock = clock
        self.key = Ed25519PrivateKey.generate()
        self.signer = NoteSigner.generate(ORIGIN)
        self.entries: list[bytes] = []
        self.made: list[tuple[str, tuple[Disclosure, ...]]] = []

    def add(self, subject: str, values: dict[str, object], stream: str = "fsr/fsr-1", keep: bool = True) -> int:
        """An entry with these disclosures, which the vault has unless `keep` says otherwise; its index."""
        made = tuple(disclosure.make(statement.new_salt(), name, value) for name, value in values.items())
        if keep:
            self.vault.keep([Held(one.text, subject, Category.METER, "P2Y") for one in made])
        return self._enter(subject, made, {"fsr_id": "fsr-1", "_sd": sorted(one.digest for one in made)}, stream)

    def keep_as_one(self, subject: str, made: tuple[Disclosure, ...]) -> int:
        """An entry that speaks of several persons, a part each, with disclosures that the vault has already."""
        parts = [{"_sd": [one.digest]} for one in made]
        return self._enter(subject, made, {"fsr_id": "fsr-1", "parts": parts}, "fsr/fsr-1")

    def _enter(self, subject: str, made: tuple[Disclosure, ...], event: dict[str, object], stream: str) -> int:
        claims = statement.Claims(
            iss="cso-1",
            aud=ORIGIN,
            jti=f"{len(self.entries):032d}",
            iat=self.clock.now_ms() // 1000,
            stream=stream,
            type="dsr.recorded",
            v=1,
            event=event,
            sd_alg="sha-256",
        )
        data = entry.encode(
            entry.Entry(
                log=ORIGIN,
                pol=0,
                prev=entry.NO_PREVIOUS,
                rec=self.clock.now_ms(),
                seq=len(self.entries) + 1,
                stmt=jws.sign(canonical.encode(claims), self.key, {"typ": statement.TYP, "x5t#S256": "A" * 43}),
                stream=stream,
                sub=entry.Submitter(cert="0" * 64, party="cso-1", role="CSO"),
                type=claims.type,
                v=1,
            )
        )
        self.entries.append(data)
        self.made.append((subject, made))
        return len(self.entries) - 1

    def checkpoint(self) -> bytes:
        root = merkle.root([hashing.leaf(one) for one in self.entries])
        return checkpoint.sign(checkpoint.Checkpoint(ORIGIN, len(self.entries), root), [self.signer])

    def rows(self, indices: Sequence[int] | None = None) -> list[ExportRow]:
        reader = merkle.reader([hashing.leaf(one) for one in self.entries])
        chosen = range(len(self.entries)) if indices is None else indices
        return [
            ExportRow(
                index=index,
                entry_bytes=self.entries[index],
                disclosures=tuple(one.text for one in self.made[index][1]),
                subject=self.vault.uid_of(self.made[index][0]),
                proof=tuple(merkle.inclusion_proof(index, len(self.entries), reader)),
            )
            for index in chosen
        ]
