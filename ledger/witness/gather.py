"""A log asks its witnesses: all at once, each in bounded time, with one way to catch up when a witness is behind.

Nothing here knows HTTP: whoever gathers hands in `Post`. Source: c2sp.org/tlog-witness.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ledger.errors import Absent, Broken, LedgerError
from ledger.tlog import checkpoint, note
from ledger.tlog.errors import NoteMalformed, NoteUnverified
from ledger.tlog.policy import Peer, Policy, shown
from ledger.witness import cosign

TIMEOUT_S: Final = 5.0
"""For everything that is asked of one witness about one checkpoint."""
MAX_QUESTIONS: Final = 3
"""The first may be answered with the size to begin from, and a race may move that once more."""
MAX_ANSWER_OCTETS: Final = 64 * 1024
MAX_AT_ONCE: Final = 16
SIZE_TYPE: Final = "text/x.tlog.size"
ADD_CHECKPOINT: Final = "/add-checkpoint"


class WitnessUnreachable(Absent):
    """A witness did not answer in time, or not as the protocol says."""

    code = "ledger/witness-unreachable"
    title = "Witness does not answer"


class WitnessAhead(Broken):
    """A witness has cosigned a larger tree of this log than the log remembers signing: the log went back."""

    code = "ledger/witness-ahead"
    title = "Witness is ahead of the log"


class WitnessDiffers(Broken):
    """A witness says that what it cosigned last is no prefix of this log: one of the two histories is not the log's."""

    code = "ledger/witness-differs"
    title = "Witness remembers another history"


class HttpAnswer(NamedTuple):
    """What a witness answered; the body at most MAX_ANSWER_OCTETS."""

    status: int
    content_type: str
    body: bytes


Post = Callable[[str, bytes], Awaitable[HttpAnswer]]
"""Posts the body to the URL; raises WitnessUnreachable where no answer came."""

Consistency = Callable[[int, int], Sequence[bytes]]
"""The proof that the tree of the first size is a prefix of that of the second."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The note with every line that was got, and what was wrong with those who gave none."""

    signed: bytes
    cosigned: tuple[str, ...]
    failed: Mapping[str, LedgerError]


class Gatherer:
    """Asks the witnesses of a policy that have a URL, and remembers how far each of them is."""

    def __init__(self, policy: Policy, post: Post, consistency: Consistency, *, timeout_s: float = TIMEOUT_S) -> None:
        """Asks nobody yet."""
        self.policy = policy
        self._post = post
        self._consistency = consistency
        self._timeout_s = timeout_s
        self._sizes: dict[str, int] = {}

    @property
    def witnesses(self) -> Mapping[str, Peer]:
        """Those who can be asked, by their names in the policy."""
        return {shown(name): peer for name, peer in self.policy.witnesses.items() if peer.url is not None}

    async def gather(self, signed: bytes, signed_size: int) -> Gathered:
        """The signed note with cosignatures of as many witnesses as gave one in time; those it has are not asked.

        `signed_size` is the largest size that the log's key ever signed. Raises WitnessAhead if a witness says that
        it cosigned a larger one, WitnessDiffers if it cosigned another history; the note is then worth nothing more.
        Every other failure is in the answer.
        """
        asked = self._missing(signed)
        # A policy is ours, but a slow witness must not hold more than its share of connections.
        turns = asyncio.Semaphore(MAX_AT_ONCE)

        async def one(name: str, peer: Peer) -> str:
            async with turns:
                return await self._within(name, self._ask(name, peer, signed, signed_size))

        answers = await asyncio.gather(*(one(name, peer) for name, peer in asked.items()), return_exceptions=True)
        lines: list[str] = []
        failed: dict[str, LedgerError] = {}
        for name, answer in zip(asked, answers, strict=True):
            if isinstance(answer, WitnessAhead | WitnessDiffers):
                raise answer
            if isinstance(answer, LedgerError):
                failed[name] = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                lines.append(answer)
        cosigned = tuple(name for name in asked if name not in failed)
        return Gathered(note.add_signatures(signed, lines), cosigned, failed)

    def _missing(self, signed: bytes) -> dict[str, Peer]:
        have = {(line.name, line.key_id) for line in note.parse(signed).signatures}
        return {
            name: peer
            for name, peer in self.witnesses.items()
            if (peer.verifier.name, peer.verifier.key_id) not in have
        }

    async def _within(self, name: str, asking: Awaitable[str]) -> str:
        try:
            return await asyncio.wait_for(asking, self._timeout_s)
        except TimeoutError:
            raise WitnessUnreachable("no answer in time", expected=f"{self._timeout_s:g} s", witness=name) from None

    async def _ask(self, name: str, peer: Peer, signed: bytes, signed_size: int) -> str:
        size = checkpoint.parse(note.parse_text(signed)).size
        for _ in range(MAX_QUESTIONS):
            old = min(self._sizes.get(name, 0), size)
            request = cosign.encode_request(old, self._consistency(old, size), signed)
            answer = await self._post((peer.url or "").rstrip("/") + ADD_CHECKPOINT, request)
            if answer.status == cosign.OK:
                line = _line(name, peer, signed, answer.body)
                self._sizes[name] = size
                return line
            if answer.status == cosign.UNPROCESSABLE:
                # The proof is from the size that the witness named itself, so it is the roots that differ.
                raise WitnessDiffers("a witness cosigned another history of this log", size=old, witness=name)
            if answer.status != cosign.CONFLICT:
                raise WitnessUnreachable("the witness refuses", expected=cosign.OK, found=answer.status, witness=name)
            self._sizes[name] = _size_of(name, answer, signed_size)
            if self._sizes[name] > size:
                raise WitnessUnreachable(
                    "a later checkpoint is cosigned already", found=self._sizes[name], witness=name
                )
        raise WitnessUnreachable("the witness's size keeps moving", expected=f"{MAX_QUESTIONS} questions", witness=name)


def _line(name: str, peer: Peer, signed: bytes, body: bytes) -> str:
    """The witness's own line in its answer; lines by other keys are ignored, as the protocol says."""
    try:
        opened = note.open(note.add_signatures(signed, [body.decode()]), [peer.verifier])
    except (NoteMalformed, NoteUnverified, UnicodeDecodeError):
        raise WitnessUnreachable("the answer holds no cosignature of the witness", witness=name) from None
    return opened.verified[0].line()


def _size_of(name: str, answer: HttpAnswer, signed_size: int) -> int:
    media_type = answer.content_type.partition(";")[0].strip()
    text = answer.body.decode("ascii", "replace")
    size = checkpoint.parse_size(text[:-1]) if text.endswith("\n") and media_type == SIZE_TYPE else None
    if size is None:
        raise WitnessUnreachable("the conflict names no size", expected=SIZE_TYPE, witness=name)
    if size > signed_size:
        raise WitnessAhead(
            "a witness cosigned a larger tree than this log ever signed",
            expected=f"at most {signed_size}",
            found=size,
            witness=name,
        )
    return size
