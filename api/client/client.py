"""The client of a party: it signs what it sends, and believes what it gets once it has verified it.

What to ask, and what to believe, is written once, as generators that yield requests and are sent answers; `Client` and
`AsyncClient` only carry them back and forth.
"""

import asyncio
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from api import wire
from api.client import contradiction, receipts
from api.client.checkpoints import Checkpoints, CheckpointsMoved
from api.client.http import Answer, AsyncTransport, Request, Transport
from api.client.receipts import Receipt
from api.client.signer import StatementSigner
from api.client.typed.async_questions import AsyncQuestions
from api.client.typed.async_statements import AsyncStatements
from api.client.typed.caller import Handing, addressed, question
from api.client.typed.questions import Questions
from api.client.typed.statements import Statements
from api.errors import ApiError
from api.wire import Accepted, ConsistencyProof, Submission, SubmittedAttachment, SubmittedDisclosure
from ledger.clock import Clock, SystemClock
from ledger.errors import LedgerError
from ledger.records.disclosure import Disclosure
from ledger.records.record import Record
from ledger.records.statement import Signed
from ledger.tlog.checkpoint import OpenedCheckpoint
from ledger.tlog.errors import ProofInvalid

Subjects = Mapping[str, str] | Callable[[Disclosure], str | None]
"""Whom a disclosure is about: natural ids by the name of the field, or a function of the disclosure."""

Attachment = SubmittedAttachment

T = TypeVar("T")
Steps = Generator[Request, Answer, T]

MAX_TURNS: Final = 5
"""How often it is asked how two trees go together, while others who share the store see larger ones."""
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
        self.certificates: tuple[bytes, ...] = ()
        """Further DER certificates to send along, such as a grid operator's whose directive a request carries."""

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
        """Signs the record, submits it, and opens the receipt."""
        if self.signer is None:
            raise ValueError("this client has no signer, so it can state nothing")
        signed = self.signer.sign(record, stream, now_ms=self.clock.now_ms(), exp_prev=exp_prev, actor_seq=actor_seq)
        return (yield from self.submit(path, signed, subjects=subjects, attachments=attachments))

    def submit(
        self, path: str, signed: Signed, *, subjects: Subjects | None, attachments: Sequence[Attachment]
    ) -> Steps[Receipt]:
        """Submits what was signed here or elsewhere; asking twice is safe, because its id is in it."""
        own = self.signer.certificate if self.signer is not None else None
        certificates = (*(() if own is None else (own,)), *self.certificates)
        body = msgspec.json.encode(submission(signed, subjects, attachments, certificates))
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

    def agree(self, signed_note: bytes) -> Steps[OpenedCheckpoint]:
        """The checkpoint, known to agree with all that was seen before; one agreement at a time."""
        for _ in range(MAX_TURNS - 1):
            # Another client that shares the store may see more meanwhile: then the question is another one.
            with suppress(CheckpointsMoved):
                return (yield from self._agree(signed_note))
        return (yield from self._agree(signed_note))

    def _agree(self, signed_note: bytes) -> Steps[OpenedCheckpoint]:
        checkpoints = self._checkpoints()
        wanted = checkpoints.wanted_proof(signed_note)
        if wanted is None:
            return checkpoints.accept(signed_note, wanted=None)
        answer = yield Request("GET", CONSISTENCY_PATH.format(old=wanted.old_size, new=wanted.new_size))
        hashes = [bytes.fromhex(each) for each in answer.decode(ConsistencyProof).hashes]
        try:
            return checkpoints.accept(signed_note, hashes, wanted=wanted)
        except ProofInvalid:
            # A proof that fails convicts nobody; the larger tree's own tiles do, if the log still serves them.
            with suppress(ApiError, LedgerError):
                larger = checkpoints.larger(signed_note)
                root, proof = yield from contradiction.prefix_of(larger, wanted.old_size)
                checkpoints.convict(signed_note, root, proof)
            raise

    def _proven(self, receipt: Receipt, signed: Signed) -> Steps[Receipt]:
        checkpoints = self._checkpoints()
        entry_bytes = receipts.entry_in(receipt)
        if entry_bytes is None:
            entry_bytes = (yield Request("GET", ENTRY_PATH.format(index=receipt.index))).body
        return receipts.open_receipt(
            receipt, entry_bytes, signed, origin=checkpoints.origin, verifiers=checkpoints.verifiers
        )

    def _checkpoints(self) -> Checkpoints:
        if self.checkpoints is None:
            raise ValueError("this client knows no log keys, so it can verify nothing")
        return self.checkpoints


class Client(Statements, Questions):
    """A party's client: sync. It has a method for each route that a party uses (`api/client/typed`)."""

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
        self._agreeing = threading.Lock()

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
        receipt = self.run(
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
        return self._agreed(receipt)

    def state(self, path: str, said: Record, more: Handing) -> Receipt:
        """As `post_statement`; address and stream follow from the record."""
        return self.post_statement(*addressed(path, said), **more)

    def ask(
        self, method: str, path: str, in_path: Mapping[str, Any], in_query: Mapping[str, Any], body: Any = None
    ) -> Answer:
        """The answer to a question that is no statement; raises `RemoteProblem`."""
        return self.transport.request(question(method, path, in_path, in_query, body))

    def submit(
        self,
        path: str,
        signed: Signed,
        *,
        subjects: Subjects | None = None,
        attachments: Sequence[Attachment] = (),
    ) -> Receipt:
        """Submits what was signed elsewhere, or again what was signed before."""
        receipt = self.run(self.conversation.submit(path, signed, subjects=subjects, attachments=attachments))
        return self._agreed(receipt)

    def prove(self, receipt: Receipt, signed: Signed) -> Receipt:
        """Fetches and verifies the proof of a receipt that came without one."""
        return self._agreed(self.run(self.conversation.prove(receipt, signed)))

    def checkpoint(self) -> OpenedCheckpoint:
        """The log's newest checkpoint, known to agree with all that was seen before."""
        return self.agree(self.get_bytes(CHECKPOINT_PATH))

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
                try:
                    answer = self.transport.request(wanted)
                except ApiError as error:
                    wanted = steps.throw(error)
                else:
                    wanted = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result

    def _agreed(self, receipt: Receipt) -> Receipt:
        if receipt.proven is not None:
            self.agree(receipt.checkpoint_note())
        return receipt

    def agree(self, signed_note: bytes) -> OpenedCheckpoint:
        """The checkpoint of a signed note, known to agree with all that was seen before."""
        with self._agreeing:
            return self.run(self.conversation.agree(signed_note))

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


class AsyncClient(AsyncStatements, AsyncQuestions):
    """A party's client: asyncio. It has the same methods."""

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
        self._agreeing = asyncio.Lock()

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
        receipt = await self.run(
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
        return await self._agreed(receipt)

    async def state(self, path: str, said: Record, more: Handing) -> Receipt:
        """As `post_statement`; address and stream follow from the record."""
        return await self.post_statement(*addressed(path, said), **more)

    async def ask(
        self, method: str, path: str, in_path: Mapping[str, Any], in_query: Mapping[str, Any], body: Any = None
    ) -> Answer:
        """The answer to a question that is no statement; raises `RemoteProblem`."""
        return await self.transport.request(question(method, path, in_path, in_query, body))

    async def submit(
        self,
        path: str,
        signed: Signed,
        *,
        subjects: Subjects | None = None,
        attachments: Sequence[Attachment] = (),
    ) -> Receipt:
        """Submits what was signed elsewhere, or again what was signed before."""
        receipt = await self.run(self.conversation.submit(path, signed, subjects=subjects, attachments=attachments))
        return await self._agreed(receipt)

    async def prove(self, receipt: Receipt, signed: Signed) -> Receipt:
        """Fetches and verifies the proof of a receipt that came without one."""
        return await self._agreed(await self.run(self.conversation.prove(receipt, signed)))

    async def checkpoint(self) -> OpenedCheckpoint:
        """The log's newest checkpoint, known to agree with all that was seen before."""
        return await self.agree(await self.get_bytes(CHECKPOINT_PATH))

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
                try:
                    answer = await self.transport.request(wanted)
                except ApiError as error:
                    wanted = steps.throw(error)
                else:
                    wanted = steps.send(answer)
        except StopIteration as done:
            result: T = done.value
            return result

    async def _agreed(self, receipt: Receipt) -> Receipt:
        if receipt.proven is not None:
            await self.agree(receipt.checkpoint_note())
        return receipt

    async def agree(self, signed_note: bytes) -> OpenedCheckpoint:
        """The checkpoint of a signed note, known to agree with all that was seen before."""
        async with self._agreeing:
            return await self.run(self.conversation.agree(signed_note))

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


def submission(
    signed: Signed,
    subjects: Subjects | None,
    attachments: Sequence[Attachment],
    certificates: Sequence[bytes] = (),
) -> Submission:
    """What is sent for a signed statement: its disclosures, each with whom it is about, and its attachments."""
    return Submission(
        statement=signed.raw,
        certificates=tuple(certificates),
        disclosures=tuple(
            SubmittedDisclosure(text=opened.text, subject=_subject(opened, subjects)) for opened in signed.disclosures
        ),
        attachments=tuple(attachments),
    )


def _subject(opened: Disclosure, subjects: Subjects | None) -> str | None:
    if subjects is None:
        return None
    return subjects.get(opened.name) if isinstance(subjects, Mapping) else subjects(opened)
