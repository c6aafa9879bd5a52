"""Time stamps of others over our checkpoints, asked for in the background: nothing that is appended waits for them.

What an authority answered is verified before it is kept, stands beside the log under its digest, and is an entry: all
that the stamped checkpoint covers is older than the stamp, and all that follows the entry is later.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from cryptography import x509

from api import telemetry, wire
from api.errors import ApiError, Refused
from api.flows.desk import Desk
from api.settings import Timestamps
from api.verification import timestamps
from ledger.audit.stamps import TOLERANCE_MS
from ledger.clock import MS_PER_S
from ledger.errors import LedgerError
from ledger.reader import Reader
from ledger.records import entry as entries
from ledger.records import statement
from ledger.records.log import TimeStamped
from ledger.store.errors import StreamAbsent
from ledger.store.protocol import ReadStore
from ledger.store.publisher import Publisher
from ledger.tlog import checkpoint, note
from pki import timestamp
from pki.asn1.timestamp import MAX_RESPONSE_BYTES
from pki.errors import PkiError
from pki.timestamp import VerifiedTimestamp

STREAM: Final = "log/timestamps"
EVIDENCE_KIND: Final = "rfc3161"
QUERY: Final = "application/timestamp-query"
REPLY: Final = "application/timestamp-reply"
FIRST_PAUSE_S: Final = 10.0
"""After a failure; doubled with each further one, up to the interval."""
MAX_DOUBLINGS: Final = 20
MAX_SKEW_MS: Final = TOLERANCE_MS
"""An authority's time and ours may differ by so much before somebody is told; what an audit names is no less."""
OWN_ENTRY: Final = 1
"""A log that has grown by nothing but the entry about its last stamp has not grown."""

AskAuthority = Callable[[str, bytes], Awaitable[tuple[int, str, bytes]]]
"""Posts the query to the URL: status, media type and body; raises an ApiError where no answer came."""

log = structlog.get_logger()


class AuthorityRefuses(Refused):
    """A time-stamping authority did not answer as RFC 3161 says, or under another policy than was asked for."""

    code = "api/timestamp-not-given"
    title = "No time stamp was given"


@dataclass(frozen=True, slots=True)
class Stamp:
    """One stamp on record: where its entry stands, and what it is over."""

    index: int
    size: int
    token_sha256: str
    rec_ms: int


class StampBook:
    """The stamps of a log, in order; read from its stream, and from there on only what is new."""

    def __init__(self, reader: Reader) -> None:
        """Reads nothing yet."""
        self._reader = reader
        self._known: list[Stamp] = []

    def all(self) -> Sequence[Stamp]:
        """Every stamp on record, sizes rising."""
        try:
            rows = self._reader.stream(STREAM, from_seq=len(self._known) + 1)
        except StreamAbsent:
            return self._known
        for index, data in rows:
            made = entries.decode(data)
            said = statement.parse_statement(made.stmt).record
            # A refusal may stand in the stream as well; it keeps its place, so that the numbers go on.
            size, token = (said.size, said.token_sha256) if isinstance(said, TimeStamped) else (0, "")
            self._known.append(Stamp(index, size, token, made.rec))
        return [one for one in self._known if one.size]

    def covering(self, index: int, *, below: int) -> Stamp | None:
        """The first stamp over a tree with this entry that is no larger than `below`; None if there is none yet."""
        return next((one for one in self.all() if index < one.size <= below), None)


def shown(book: StampBook, store: ReadStore, *, after: int, limit: int) -> tuple[wire.TimestampShown, ...]:
    """The first `limit` stamps over trees larger than `after`, with what was stamped."""
    found: list[wire.TimestampShown] = []
    for one in book.all():
        if one.size <= after or len(found) == limit:
            continue
        signed, token = store.checkpoint(one.size), store.evidence(one.token_sha256)
        if signed is not None and token is not None:
            stamped = signed.note.decode()
            found.append(wire.TimestampShown(index=one.index, size=one.size, checkpoint=stamped, token=token[1]))
    return tuple(found)


class Stamping:
    """Asks the authorities of the settings, one after the other, until one has stamped the newest checkpoint."""

    def __init__(
        self,
        wanted: Timestamps,
        *,
        desk: Desk,
        publisher: Publisher,
        book: StampBook,
        roots: Sequence[x509.Certificate],
        ask: AskAuthority,
    ) -> None:
        """Asks nobody yet."""
        self._wanted = wanted
        self._desk = desk
        self._publisher = publisher
        self._book = book
        self._roots = roots
        self._ask = ask

    async def watch(self) -> None:
        """Stamps again and again, for ever; after a failure sooner, and then ever more rarely."""
        every_s = self._wanted.every_minutes * 60.0
        failures = 0
        while True:
            try:
                await self.once()
                failures = 0
            except Exception as error:  # noqa: BLE001 -- whatever it is, the next stamp is asked for
                failures += 1
                telemetry.TIMESTAMPS.labels(result="failed").inc()
                log.warning("no time stamp", code=getattr(error, "code", type(error).__name__))
            await asyncio.sleep(
                min(every_s, FIRST_PAUSE_S * 2.0 ** min(failures, MAX_DOUBLINGS)) if failures else every_s
            )

    async def once(self) -> Stamp | None:
        """The stamp that is on record now; None if the newest checkpoint has one, or the log has ended.

        Raises what the last authority failed with, what the log refuses with, CheckpointAbsent.
        """
        signed = self._publisher.latest()
        size = checkpoint.parse(note.parse_text(signed)).size
        known = self._book.all()
        if self._desk.state.frozen_at is not None or (known and size <= known[-1].size + OWN_ENTRY):
            return None
        now_ms = self._desk.clock.now_ms()
        # Another replica may have stamped a moment ago.
        if known and now_ms - known[-1].rec_ms < self._wanted.every_minutes * 60 * MS_PER_S // 2:
            return None
        token, found = await self._stamped(timestamps.imprint(signed))
        if abs(found.at_ms - now_ms) > MAX_SKEW_MS:
            log.warning("the authority's time is not ours", found=found.at_ms, expected=now_ms)
        digest = hashlib.sha256(token).hexdigest()
        self._desk.engines.store.put_evidence(digest, EVIDENCE_KIND, token)
        accepted = await self._desk.say(TimeStamped(size=size, token_sha256=digest), STREAM, jti=digest)
        telemetry.TIMESTAMPS.labels(result="ok").inc()
        telemetry.TIMESTAMPED_SIZE.set(size)
        return Stamp(accepted.index, size, digest, accepted.rec_ms)

    async def _stamped(self, imprint: bytes) -> tuple[bytes, VerifiedTimestamp]:
        for position, url in enumerate(self._wanted.authorities, start=1):
            try:
                return await self._one(url, imprint)
            except (ApiError, LedgerError, PkiError) as error:
                if position == len(self._wanted.authorities):
                    raise
                log.warning("a time-stamping authority failed", code=error.code, reason=error.detail)
        raise AuthorityRefuses("no authority is named")

    async def _one(self, url: str, imprint: bytes) -> tuple[bytes, VerifiedTimestamp]:
        nonce = secrets.randbelow((1 << timestamp.MAX_NONCE_BITS) - 1) + 1
        query = timestamp.request(imprint, nonce, policy=self._wanted.policy_oid)
        status, media_type, body = await self._ask(url, query)
        if status != 200 or media_type.partition(";")[0].strip().lower() != REPLY:
            raise AuthorityRefuses("the authority answers something else", expected=f"200 {REPLY}", found=status)
        if len(body) > MAX_RESPONSE_BYTES:
            raise AuthorityRefuses("the answer is too large", expected=MAX_RESPONSE_BYTES, found=len(body))
        whole = timestamp.open_response(body, imprint=imprint, nonce=nonce, roots=self._roots)
        token = timestamp.minimal(whole, roots=self._roots)
        found = timestamp.verify_token(token, imprint=imprint, roots=self._roots)
        if self._wanted.policy_oid is not None and found.policy != self._wanted.policy_oid:
            raise AuthorityRefuses("another policy", expected=self._wanted.policy_oid, found=found.policy)
        return token, found
