"""The client believes a receipt once it has checked it, whatever a lying service answers."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api import wire
from api.client.checkpoints import Checkpoints, MemoryCheckpoints
from api.client.client import AsyncClient, Attachment, Client
from api.client.errors import AnswerMalformed, ReceiptMismatch
from api.client.http import Answer, Request
from api.client.receipts import Receipt
from api.client.signer import StatementSigner
from api.wire import Accepted, Submission
from ledger.clock import SetClock
from ledger.records import disclosure, entry, statement
from ledger.records.entry import Entry, Submitter
from ledger.records.opt import Choice, OptActor, OptDecided, OptReason
from ledger.records.statement import Signed
from ledger.tlog import checkpoint, hashing, merkle, proof, tiles
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import NoteUnverified, ProofInvalid
from ledger.tlog.note import NoteSigner

ORIGIN = "log.example/test"
NOW_MS = 1_795_532_000_123
STREAM = "fsr/fsr-1"
RECORD = OptDecided(
    opt_id="opt-1",
    fsr_id="fsr-1",
    participation="part-1",
    actor=OptActor.EVU,
    choice=Choice.OUT,
    reason=OptReason.MOBILITY_NEED,
    decided_at_ms=NOW_MS,
)


@dataclass
class FakeLog:
    """A service in memory that can lie; `lie` is applied to every JSON answer to a statement."""

    signer: NoteSigner = field(default_factory=lambda: NoteSigner.generate(ORIGIN))
    entries: list[bytes] = field(default_factory=list)
    heard: list[Request] = field(default_factory=list)
    lie: dict[str, Any] = field(default_factory=dict)
    extra: bool = False
    forged_statement: str | None = None

    def leaves(self) -> list[bytes]:
        return [hashing.leaf(each) for each in self.entries]

    def note(self) -> bytes:
        leaves = self.leaves()
        return checkpoint.sign(Checkpoint(ORIGIN, len(leaves), merkle.root(leaves)), [self.signer])

    def add(self, raw: str) -> int:
        made = Entry(
            log=ORIGIN,
            pol=0,
            prev=entry.NO_PREVIOUS,
            rec=NOW_MS,
            seq=len(self.entries) + 1,
            stmt=self.forged_statement or raw,
            stream=STREAM,
            sub=Submitter(cert="ab" * 32, party="CSO-1", role="CSO"),
            type=RECORD.TYPE,
            v=1,
        )
        self.entries.append(entry.encode(made))
        return len(self.entries) - 1

    def receipt(self, index: int) -> bytes:
        path = merkle.inclusion_proof(index, len(self.entries), merkle.reader(self.leaves()))
        return proof.encode(index, path, self.note(), self.entries[index] if self.extra else None)

    def answer(self, wanted: Request) -> Answer:
        self.heard.append(wanted)
        path, _, query = wanted.path.partition("?")
        if wanted.method == "POST":
            return Answer(201, {}, self._accept(wanted))
        if path == "/checkpoint":
            return Answer(200, {}, self.note())
        if path == "/v1/proofs/consistency":
            old, new = (int(part.partition("=")[2]) for part in query.split("&"))
            hashes = merkle.consistency_proof(old, new, merkle.reader(self.leaves()))
            found = wire.ConsistencyProof(old_size=old, new_size=new, hashes=tuple(each.hex() for each in hashes))
            return Answer(200, {}, msgspec.json.encode(found))
        if path.startswith("/tile/"):
            files: dict[str, bytes] = {}
            tiles.write_tree(self.entries, files.__setitem__)
            return Answer(200, {}, files[path.removeprefix("/")])
        index = int(path.split("/")[3])
        return Answer(200, {}, self.receipt(index) if path.endswith("/receipt") else self.entries[index])

    def _accept(self, wanted: Request) -> bytes:
        assert wanted.body is not None
        index = self.add(msgspec.json.decode(wanted.body, type=Submission).statement)
        answer = Accepted(
            index=index,
            leaf_hash=hashing.leaf(self.entries[index]).hex(),
            stream=STREAM,
            seq=index + 1,
            rec_ms=NOW_MS,
            tree_size=len(self.entries),
            receipt=self.receipt(index).decode() if wanted.headers.get("prefer") == "receipt" else None,
        )
        return msgspec.json.encode(msgspec.structs.replace(answer, **self.lie))


class FakeTransport:
    def __init__(self, log: FakeLog) -> None:
        self.log = log

    def request(self, wanted: Request) -> Answer:
        return self.log.answer(wanted)

    def close(self) -> None:
        pass


class FakeAsyncTransport:
    def __init__(self, log: FakeLog) -> None:
        self.log = log

    async def request(self, wanted: Request) -> Answer:
        await asyncio.sleep(0)
        return self.log.answer(wanted)

    async def close(self) -> None:
        pass


SIGNER = StatementSigner("CSO-1", Ed25519PrivateKey.generate(), "x" * 43, ORIGIN)


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


def _checkpoints(log: FakeLog) -> Checkpoints:
    return Checkpoints(ORIGIN, [log.signer.verifier], MemoryCheckpoints())


@pytest.fixture
def client(log: FakeLog) -> Client:
    return Client(
        FakeTransport(log),  # type: ignore[arg-type]
        signer=SIGNER,
        checkpoints=_checkpoints(log),
        clock=SetClock(NOW_MS),
    )


def _post(client: Client, **more: Any) -> Receipt:
    return client.post_statement("/v1/requests/fsr-1/decisions", RECORD, STREAM, **more)


def test_a_receipt_that_is_right_is_proven(client: Client, log: FakeLog) -> None:
    log.add("someone else's")
    receipt = _post(client)
    assert (receipt.index, receipt.seq, receipt.duplicate) == (1, 2, False)
    assert receipt.proven is not None
    assert receipt.proven.checkpoint.checkpoint.size == 2
    assert receipt.entry is not None
    assert statement.parse_statement(receipt.entry.stmt).claims.iss == "CSO-1"
    latest = client.conversation.checkpoints.latest() if client.conversation.checkpoints else None
    assert latest is not None
    assert latest.checkpoint.size == 2


def test_the_entry_is_not_fetched_where_the_proof_brings_it(client: Client, log: FakeLog) -> None:
    log.extra = True
    receipt = _post(client)
    assert receipt.entry_bytes == log.entries[0]
    assert [each.method for each in log.heard] == ["POST"]


def test_a_statement_may_be_sent_again_because_its_id_is_in_it(client: Client, log: FakeLog) -> None:
    _post(client)
    assert log.heard[0].may_repeat


def test_every_disclosure_names_its_subject_and_attachments_go_beside(client: Client, log: FakeLog) -> None:
    _post(client, subjects={"reason": "EVU-7"}, attachments=[Attachment(data=b"\x00meter", subject="EVU-7")])
    _post(client, subjects=lambda opened: f"by-{opened.name}")
    sent = [msgspec.json.decode(each.body or b"", type=Submission) for each in log.heard if each.method == "POST"]
    named = [{disclosure.parse(each.text).name: each.subject for each in one.disclosures} for one in sent]
    assert named == [
        {"reason": "EVU-7", "decided_at_ms": None},
        {"reason": "by-reason", "decided_at_ms": "by-decided_at_ms"},
    ]
    assert sent[0].attachments == (Attachment(data=b"\x00meter", subject="EVU-7"),)


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        ({"stream": "fsr/other"}, ReceiptMismatch),
        ({"seq": 9}, ReceiptMismatch),
        ({"rec_ms": 9}, ReceiptMismatch),
        ({"leaf_hash": "ab" * 32}, ReceiptMismatch),
        ({"index": 0}, ReceiptMismatch),
    ],
)
def test_an_answer_that_differs_from_the_entry_is_refused(
    client: Client, log: FakeLog, lie: dict[str, Any], error: type[Exception]
) -> None:
    log.add("someone else's")
    log.lie = lie
    with pytest.raises(error):
        _post(client)


def test_an_entry_with_another_statement_is_refused(client: Client, log: FakeLog) -> None:
    log.forged_statement = "a.b.c"
    with pytest.raises(ReceiptMismatch) as caught:
        _post(client)
    assert caught.value.where["member"] == "statement"


def test_a_proof_for_another_index_is_refused(client: Client, log: FakeLog) -> None:
    raw = SIGNER.sign(RECORD, STREAM, now_ms=NOW_MS)
    log.add(raw.raw)
    log.entries.append(log.entries[0])
    log.lie = {
        "index": 0,
        "seq": 1,
        "leaf_hash": hashing.leaf(log.entries[0]).hex(),
        "receipt": log.receipt(1).decode(),
    }
    with pytest.raises(ReceiptMismatch, match="another index"):
        client.submit("/x", raw)


def test_a_checkpoint_that_the_log_did_not_sign_is_refused(log: FakeLog) -> None:
    stranger = FakeLog()
    client = Client(FakeTransport(log), signer=SIGNER, checkpoints=_checkpoints(stranger))  # type: ignore[arg-type]
    with pytest.raises(NoteUnverified):
        _post(client)


def test_a_log_that_rewrites_its_past_is_noticed(client: Client, log: FakeLog) -> None:
    _post(client)
    _post(client)
    log.entries[0] = log.entries[0].replace(b'"pol":0', b'"pol":1')
    with pytest.raises(ProofInvalid):
        _post(client)


def test_without_checkpoints_no_receipt_is_asked_for(log: FakeLog) -> None:
    client = Client(FakeTransport(log), signer=SIGNER)  # type: ignore[arg-type]
    receipt = _post(client)
    assert (receipt.proof, receipt.proven) == (None, None)
    assert "prefer" not in log.heard[0].headers
    with pytest.raises(ReceiptMismatch):
        receipt.checkpoint_note()


def test_a_receipt_can_be_proven_later(client: Client, log: FakeLog) -> None:
    signed = SIGNER.sign(RECORD, STREAM, now_ms=NOW_MS)
    log.lie = {"receipt": None}
    receipt = client.submit("/x", signed)
    assert receipt.proven is None
    log.add("later")
    proven = client.prove(receipt, signed)
    assert proven.proven is not None
    assert proven.proven.checkpoint.checkpoint.size == 2


def test_an_answer_of_another_shape_is_malformed(client: Client, log: FakeLog) -> None:
    log.lie = {"seq": 0}
    with pytest.raises(AnswerMalformed):
        _post(client)


def test_the_newest_checkpoint_is_checked_against_those_seen(client: Client, log: FakeLog) -> None:
    _post(client)
    log.add("more")
    assert client.checkpoint().checkpoint.size == 2
    assert client.get_bytes("/checkpoint") == log.note()


def test_who_has_no_key_can_state_nothing(log: FakeLog) -> None:
    client = Client(FakeTransport(log))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no signer"):
        _post(client)
    with pytest.raises(ValueError, match="no log keys"):
        client.checkpoint()


async def test_many_statements_at_once_agree_on_one_history(log: FakeLog) -> None:
    checkpoints = _checkpoints(log)
    async with AsyncClient(
        FakeAsyncTransport(log),  # type: ignore[arg-type]
        signer=SIGNER,
        checkpoints=checkpoints,
        clock=SetClock(NOW_MS),
    ) as client:
        posts = [client.post_statement("/x", RECORD, STREAM) for _ in range(20)]
        receipts = await asyncio.gather(*posts)
    assert sorted(each.index for each in receipts) == list(range(20))
    assert all(each.proven is not None for each in receipts)
    latest = checkpoints.latest()
    assert latest is not None
    assert latest.checkpoint.size == 20


async def test_the_async_client_does_what_the_sync_one_does(log: FakeLog) -> None:
    client = AsyncClient(FakeAsyncTransport(log), signer=SIGNER, checkpoints=_checkpoints(log))  # type: ignore[arg-type]
    signed: Signed = SIGNER.sign(RECORD, STREAM, now_ms=NOW_MS)
    log.lie = {"receipt": None}
    receipt = await client.submit("/x", signed)
    assert (await client.prove(receipt, signed)).proven is not None
    assert (await client.checkpoint()).checkpoint.size == 1
    assert hashlib.sha256(await client.get_bytes("/v1/entries/0")).digest() == hashlib.sha256(log.entries[0]).digest()
    assert (await client.get_json("/v1/entries/0"))["seq"] == 1
