"""The client of a party: it signs what it sends, and believes what it gets once it has verified it.

What to ask, and what to believe, is written once, as generators that yield requests and are sent answers; `Client` and
`AsyncClient` only carry them back and forth.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from api import wire
from api.client import receipts
from api.client.checkpoints import Checkpoints
from api.client.http import Answer, AsyncTransport, Request, Transport
from api.client.receipts import Receipt
from api.client.signer import StatementSigner
from api.wire import Accepted, ConsistencyProof, Submission, SubmittedAttachment, SubmittedDisclosure
from ledger.clock import Clock, SystemClock
from ledger.records.disclosure import Disclosure
from ledger.records.record import Record
from ledger.records.statement import Signed
from ledger.tlog import proof as tlog_proof
from ledger.tlog.checkpoint import OpenedCheckpoint

Subjects = Mapping[str, str] | Callable[[Disclosure], str | None]
"""Whom a disclosure is about: natural ids by the name of the field, or a function of the disclosure."""

Attachment = SubmittedAttachment

T = TypeVar("T")
Steps = Generator[Request, Answer, T]

CHECKPOINT_PATH: Final = "/checkpoint"
CONSISTENCY_PATH: Final = "/v1/proofs/consistency?old={old}&new={new}"
ENTRY_PATH: Final = "/v1/entries/{index}"
RECEIPT_PATH: Final = "/v1/entries/{index}/receipt"


class Conversation:
    """What a party says to one log, and what it believes of the answers. Sends nothing itself."""

    def __init__(
        self,
        signer: StatementSigner | None = None,
        checkpoints: Checkpoints | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Without `signer` nothing can be stated; without `checkpoints` no receipt is asked for or believed."""
        self.signer = signer
        self.checkpoints = checkpoints
        self.clock = clock or SystemClock()

    def state(
        self,
        path: str,
        record: Record,
        stream: str,
        *,
        subjects: Subjects | None,
        attachments: Sequence[Attachment],
        exp_prev: str | None,
        actor_seq: int | None,
    ) -> Steps[Receipt]:
        """Signs the record, submits it, and verifies the receipt."""
        if self.signer is None:
            raise ValueError("this client has no signer, so it can state nothing")
        signed = self.signer.sign(record, stream, now_ms=self.clock.now_ms(), exp_prev=exp_prev, actor_seq=actor_seq)
        return (yield from self.submit(path, signed, subjects=subjects, attachments=attachments))

    def submit(
        self, path: str, signed: Signed, *, subjects: Subjects | None, attachments: Sequence[Attachment]
    ) -> Steps[Receipt]:
        """Submits what was signed here or elsewhere; asking twice is safe, because its id is in it."""
        body = msgspec.json.encode(submission(signed, subjects, attachments))
        headers = {"content-type": wire.JSON_MEDIA_TYPE}
        if self.checkpoints is not None:
            headers["prefer"] = wire.PREFER_RECEIPT
        answer = yield Request("POST", path, body, headers, idempotent=True)
        receipt = receipts.unproven(answer.decode(Accepted), signed)
        if receipt.proof is None or self.checkpoints is None:
            return receipt
        return (yield from self._proven(receipt, signed))

    def prove(self, receipt: Receipt, signed: Signed) -> Steps[Receipt]:
        """Fetches and verifies the proof of a receipt that came without one."""
        answer = yield Request("GET", RECEIPT_PATH.format(index=receipt.index))
        return (yield from self._proven(replace(receipt, proof=answer.body), signed))

    def checkpoint(self) -> Steps[OpenedCheckpoint]:
        """The log's newest checkpoint, known to agree with all that was seen before."""
        answer = yield Request("GET", CHECKPOINT_PATH)
        return (yield from self._agreed(answer.body))

    def _proven(self, receipt: Receipt, signed: Signed) -> Steps[Receipt]:
        checkpoints = self._checkpoints()
        entry_bytes = receipts.entry_in(receipt)
        if entry_bytes is None:
            entry_bytes = (yield Request("GET", ENTRY_PATH.format(index=receipt.index))).body
        opened = receipts.open_receipt(
            receipt, entry_bytes, signed, origin=checkpoints.origin, verifiers=checkpoints.verifiers
        )
        yield from self._agreed(tlog_proof.parse(opened.proof or b"").checkpoint_note)
        return opened

    def _agreed(self, signed_note: bytes) -> Steps[OpenedCheckpoint]:
        checkpoints = self._checkpoints()
        wanted = checkpoints.wanted_proof(signed_note)
        if wanted is None:
            return checkpoints.accept(signed_note)
        answer = yield Request("GET", CONSISTENCY_PATH.format(old=wanted.old_size, new=wanted.new_size))
        found = answer.decode(ConsistencyProof)
        return checkpoints.accept(signed_note, [bytes.fromhex(each) for each in found.hashes])

    def _checkpoints(self) -> Checkpoints:
        if self.checkpoints is None:
            raise ValueError("this client knows no log keys, so it can verify nothing")
        return self.checkpoints


class Client:
    """A party's client: sync."""

    def __init__(
        self,
        transport: Transport,
        *,
        signer: StatementSigner | None = None,
        checkpoints: Checkpoints | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.transport = transport
        self.conversation = Conversation(signer, checkpoints, clock)

    def post_statement(
        self,
        path: str,
        record: Record,
        stream: str,
        *,
        subjects: Subjects | None = None,
        attachments: Sequence[Attachment] = (),
        exp_prev: str | None = None,
        actor_seq: int | None = None,
    ) -> Receipt:
        """Signs and submits; returns once the statement is durable and its receipt, if there is one, is verified."""
        return self.run(
            self.conversation.state(
                path,
                record,
                stream,
                subjects=subjects,
                attachments=attachments,
                exp_prev=exp_prev,
                actor_seq=actor_seq,
            )
        )

    def submit(
        self,
        path: str,
        signed: Signed,
        *,
        subjects: Subjects | None = None,
        attachments: Sequence[Attachment] = (),
    ) -> Receipt:
        """Submits what was signed elsewhere, or again what was signed before."""
        return self.run(self.conversation.submit(path, signed, subjects=subjects, attachments=attachments))

    def prove(self, receipt: Receipt, signed: Signed) -> Receipt:
        """Fetches and verifies the proof of a receipt that came without one."""
        return self.run(self.conversation.prove(receipt, signed))

    def checkpoint(self) -> OpenedCheckpoint:
        """The log's newest checkpoint, known to agree with all that was seen before."""
        return self.run(self.conversation.checkpoint())

    def get_json(self, path: str) -> Any:
        """The resource as JSON."""
        return self.transport.request(Request("GET", path, headers={"accept": wire.JSON_MEDIA_TYPE})).json()

    def get_bytes(self, path: str) -> bytes:
        """The resource's bytes."""
        return self.transport.request(Request("GET", path)).body

    def run(self, steps: Steps[T]) -> T:
        """Carries out a conversation."""
        try:
            wanted = next(steps)
            while True:
                wanted = steps.send(self.transport.request(wanted))
        except StopIteration as done:
            result: T = done.value
            return result

    def close(self) -> None:
        """Closes the connections."""
        self.transport.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()


class AsyncClient:
    """A party's client: asyncio."""

    def __init__(
        self,
        transport: AsyncTransport,
        *,
        signer: StatementSigner | None = None,
        checkpoints: Checkpoints | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.transport = transport
        self.conversation = Conversation(signer, checkpoints, clock)

    async def post_statement(
        self,
        path: str,
        record: Record,
        stream: str,
        *,
        subjects: Subjects | None = None,
        attachments: Sequence[Attachment] = (),
        exp_prev: str | None = None,
        actor_seq: int | None = None,
    ) -> Receipt:
        """Signs and submits; returns once the statement is durable and its receipt, if there is one, is verified."""
        return await self.run(
            self.conversation.state(
                path,
                record,
                stream,
                subjects=subjects,
                attachments=attachments,
                exp_prev=exp_prev,
                actor_seq=actor_seq,
            )
        )

    async def submit(
        self,
        path: str,
        signed: Signed,
        *,
        subjects: Subjects | None = None,
        attachments: Sequence[Attachment] = (),
    ) -> Receipt:
        """Submits what was signed elsewhere, or again what was signed before."""
        return await self.run(self.conversation.submit(path, signed, subjects=subjects, attachments=attachments))

    async def prove(self, receipt: Receipt, signed: Signed) -> Receipt:
        """Fetches and verifies the proof of a receipt that came without one."""
        return await self.run(self.conversation.prove(receipt, signed))

    async def checkpoint(self) -> OpenedCheckpoint:
        """The log's newest checkpoint, known to agree with all that was seen before."""
        return await self.run(self.conversation.checkpoint())

    async def get_json(self, path: str) -> Any:
        """The resource as JSON."""
        answer = await self.transport.request(Request("GET", path, headers={"accept": wire.JSON_MEDIA_TYPE}))
        return answer.json()

    async def get_bytes(self, path: str) -> bytes:
        """The resource's bytes."""
        return (await self.transport.request(Request("GET", path))).body

    async def run(self, steps: Steps[T]) -> T:
        """Carries out a conversation."""
        try:
            wanted = next(steps)
            while True:
                wanted = steps.send(await self.transport.request(wanted))
        except StopIteration as done:
            result: T = done.value
            return result

    async def close(self) -> None:
        """Closes the connections."""
        await self.transport.close()

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        await self.close()


def submission(signed: Signed, subjects: Subjects | None, attachments: Sequence[Attachment]) -> Submission:
    """What is sent for a signed statement: its disclosures, each with whom it is about, and its attachments."""
    return Submission(
        statement=signed.raw,
        disclosures=tuple(
            SubmittedDisclosure(text=opened.text, subject=_subject(opened, subjects)) for opened in signed.disclosures
        ),
        attachments=tuple(attachments),
    )


def _subject(opened: Disclosure, subjects: Subjects | None) -> str | None:
    if subjects is None:
        return None
    return subjects.get(opened.name) if isinstance(subjects, Mapping) else subjects(opened)
