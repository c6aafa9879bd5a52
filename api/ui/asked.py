"""What the pages ask of the service, and what they believe of the answers: only what was verified on this machine."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from api.client.client import AsyncClient
from api.client.errors import AnswerMalformed, ReceiptMismatch, RemoteProblem
from api.verification import page as report_page
from api.verification.bundle import Verification, open_bundle
from api.verification.bundle_format import sha256
from api.verification.bundle_policy import Policy
from api.verification.report import Report
from ledger.records import entry as entries
from ledger.records import statement
from ledger.records.entry import Entry
from ledger.records.statement import Claims
from ledger.tlog import hashing, proof
from ledger.tlog.checkpoint import OpenedCheckpoint

MAX_VERIFIED: Final = 4
"""Answers that are kept: verifying a request again takes half a second, and the same bytes give the same answer."""


@dataclass(frozen=True, slots=True)
class Home:
    """The log as it shows itself now. `checkpoint` agrees with every one that this reader ever saw."""

    about: Mapping[str, Any]
    checkpoint: OpenedCheckpoint
    is_ready: bool
    unready: str
    """What the service says against itself, empty where it is ready."""


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """An entry that stands at this index under a signed checkpoint, which agrees with all that were seen before."""

    index: int
    data: bytes
    leaf_hash: bytes
    entry: Entry
    claims: Claims
    path: tuple[bytes, ...]
    """The hashes of the inclusion proof, from the leaf upwards."""
    checkpoint: OpenedCheckpoint
    receipt: bytes
    """The c2sp.org/tlog-proof, as it came."""


@dataclass(frozen=True, slots=True)
class VerifiedRequest:
    """The record of one request, and what this machine found of it."""

    data: bytes
    report: Report
    html: str
    """The report as a page of its own, with its pictures."""


class Asked:
    """One reader's questions."""

    def __init__(self, client: AsyncClient, policy: Policy, policy_digest: str | None) -> None:
        """`policy` says what the reader trusts; its digest is that of the file it came from, if it came from one."""
        self._client = client
        self._policy = policy
        self._policy_digest = policy_digest
        self._verified: OrderedDict[str, VerifiedRequest] = OrderedDict()

    async def home(self) -> Home:
        """The log's newest checkpoint, verified; raises what the client raises for a log that contradicts itself."""
        about = await self._client.get_json("/.well-known/flexledger")
        checkpoint = await self._client.checkpoint()
        unready = ""
        try:
            await self._client.get_bytes("/readyz")
        except RemoteProblem as error:
            unready = f"{error.code}: {error}"
        return Home(_object(about), checkpoint, not unready, unready)

    async def listed(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """One page of a list."""
        return _object(await self._client.get_json(f"{path}?{urlencode(query)}" if query else path))

    async def one(self, path: str, *names: str) -> Mapping[str, Any]:
        """One thing by its name, whose every sign is escaped."""
        return _object(await self._client.get_json("/".join((path, *(quote(name, safe="") for name in names)))))

    async def entry(self, index: int) -> ProvenEntry:
        """The entry with its inclusion proof.

        Raises `ReceiptMismatch` where the proof is for something else, and what a proof or a checkpoint that does not
        hold raises.
        """
        receipt = await self._client.get_bytes(f"/v1/entries/{index}/receipt")
        parsed = proof.parse(receipt)
        data = parsed.extra
        if data is None:
            data = await self._client.get_bytes(f"/v1/entries/{index}")
        if parsed.index != index:
            raise ReceiptMismatch("the proof is for another entry", expected=index, found=parsed.index)
        checkpoints = self._client.conversation.checkpoints
        if checkpoints is None:
            raise ReceiptMismatch("this party file knows no log, so nothing can be verified")
        leaf_hash = hashing.leaf(data)
        proof.open_proof(receipt, leaf_hash=leaf_hash, origin=checkpoints.origin, verifiers=checkpoints.verifiers)
        agreed = await self._client.agree(parsed.checkpoint_note)
        found = entries.decode(data)
        if found.log != checkpoints.origin:
            raise ReceiptMismatch("the entry is of another log", expected=checkpoints.origin, found=found.log)
        claims = statement.parse_statement(found.stmt).claims
        return ProvenEntry(index, data, leaf_hash, found, claims, parsed.proof, agreed, receipt)

    async def request(self, fsr_id: str) -> VerifiedRequest:
        """The record of a request, verified here under the reader's policy; raises `BundleUnusable`."""
        data = await self._client.get_bytes(f"/v1/requests/{quote(fsr_id, safe='')}/record")
        digest = sha256(data)
        kept = self._verified.get(digest)
        if kept is not None:
            self._verified.move_to_end(digest)
            return kept
        found = await asyncio.to_thread(self._verify, data, digest)
        self._verified[digest] = found
        if len(self._verified) > MAX_VERIFIED:
            self._verified.popitem(last=False)
        return found

    def _verify(self, data: bytes, digest: str) -> VerifiedRequest:
        verification = Verification(open_bundle(data), self._policy)
        report = verification.run()
        html = report_page.render(verification, report, digest=digest, policy_digest=self._policy_digest)
        return VerifiedRequest(data, report, html)


def _object(answer: Any) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise AnswerMalformed("the answer is no object")
    return answer
