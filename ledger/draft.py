"""A batch in the making: submissions are judged one after the other at the end of the log, and their entries made.

This is the hot path of the house. What does not depend on an entry's place was made at the door (`Submission.rest`),
what a batch needs of the log was looked up for all of it at once, and the tree grows when the batch is closed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ledger.errors import LedgerError, Refused
from ledger.records import entry as entries
from ledger.records.actor import Actor, SignerProof
from ledger.records.entry import Entry, Submitter
from ledger.records.log import POLICIES, StreamClosed
from ledger.records.statement import Statement
from ledger.rules.fact import Evidence, Fact
from ledger.store import position, replay
from ledger.store.folding import KeptRules, Rules
from ledger.store.nodes import OpenTiles
from ledger.store.position import SignerLate, StatementReordered
from ledger.store.protocol import Batch, Found, Head, StoredEntry, StreamHead
from ledger.tlog import hashing

COARSE_MS: Final = 15 * 60 * 1000
"""Records whose moment is personal carry the quarter of an hour."""

Key = tuple[str, str]
"""(party, jti)."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A statement that was opened at the door, and what the door learned about it."""

    statement: Statement
    actor: Actor
    submitter: Submitter
    now_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)
    """Keyed tags for rules across streams; kept beside the log for restarts, never in it."""
    evidence: Evidence | None = None
    """What `Rules.check` may look at, once; never kept."""
    proof: SignerProof | None = None
    """How long what the door found of the signer holds; None where nothing was proven, as in tests of the sequencer."""
    rest: bytes = field(init=False, repr=False, compare=False)
    """The part of the entry's canonical bytes that does not depend on its place."""

    def __post_init__(self) -> None:
        """Encodes the rest, so that the sequencer need not."""
        claims = self.statement.claims
        rest = entries.rest(
            stmt=self.statement.raw, stream=claims.stream, sub=self.submitter, type=claims.type, v=claims.v
        )
        object.__setattr__(self, "rest", rest)


class Appended(msgspec.Struct, frozen=True, gc=False):
    """The entry is durable."""

    index: int
    leaf_hash: bytes
    """32 octets."""
    stream: str
    seq: int
    rec_ms: int
    tree_size: int
    """Size of the committed tree; `index` is in it."""
    duplicate: bool = False
    """True: it was there before, from the same statement."""


Outcome = Appended | LedgerError


class Draft:
    """What one transaction will write; the sequencer's own state is replaced after COMMIT, or the draft is dropped."""

    def __init__(
        self,
        found: Found,
        heads: Mapping[str, StreamHead | None],
        *,
        rules: Rules | KeptRules,
        actors: dict[Actor, int],
        policy_index: int,
        now_ms: int,
        unsure: Mapping[Key, bytes],
        read: Callable[[int], StoredEntry],
    ) -> None:
        """`heads` names every stream of the batch; `actors` gets those who are new; `read` gives a committed row."""
        head = found.head
        self.batch = Batch(head)
        self.made: dict[Key, tuple[Statement, Appended]] = {}
        self._found = found
        self._heads = dict(heads)
        self._rules = rules
        self._actors = actors
        self._numbers: dict[int, int] = {}
        self._unsure = unsure
        self._told: set[Key] = set()
        """Those that were there already and for which an answer is drafted."""
        self._read = read
        self._size = head.size
        self._rec_ms = head.rec_ms
        # One moment for all of them: they are in the log from one moment on.
        self._now_ms = now_ms
        self._coarse_ms = now_ms - now_ms % COARSE_MS
        self.policy_index = policy_index
        """Of the policy in force after what is drafted so far."""
        self._beginning = entries.beginning(head.origin, policy_index)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be written."""
        return not self.batch.entries

    def take(self, submission: Submission) -> Outcome:
        """Judges one submission by the log so far and puts its entry into the batch; what is refused leaves nothing."""
        try:
            return self._take(submission)
        except (Refused, SignerLate) as error:
            return error

    def _take(self, one: Submission) -> Appended:
        statement = one.statement
        claims = statement.claims
        key = (claims.iss, claims.jti)
        if key in self.made or key in self._found.statements:
            return self._again(statement, key)
        name = claims.stream
        stream = self._heads[name]
        record = statement.record
        is_closing = type(record) is StreamClosed
        # The first entry of a stream that expects no other can only be misplaced by closing what has not begun.
        if stream is not None or claims.exp_prev is not None or is_closing:
            position.refuse_misplaced(statement, stream)
        if claims.actor_seq is not None:
            self._refuse_reordered(statement, claims.actor_seq)
        now_ms = self._coarse_ms if record.COARSE else self._now_ms
        rec_ms = max(now_ms, self._rec_ms)
        if one.proof is not None:
            position.refuse_late(one.proof, max(self._now_ms, rec_ms), self.policy_index)
        if stream is None:
            prev, seq, previous = entries.NO_PREVIOUS, 1, None
        else:
            prev, seq, previous = stream.leaf.hex(), stream.seq + 1, stream.index
        made = Entry(
            log=self.batch.head.origin,
            pol=self.policy_index,
            prev=prev,
            rec=rec_ms,
            seq=seq,
            stmt=statement.raw,
            stream=name,
            sub=one.submitter,
            type=claims.type,
            v=claims.v,
        )
        data = entries.joined(self._beginning, prev, rec_ms, seq, one.rest)
        index = self._size
        # What a later audit will judge by; where the entry's time is coarse, only the door knew the exact one.
        exact_ms = one.now_ms if record.COARSE else rec_ms
        self._rules.check(Fact(index, made, statement, one.actor, exact_ms, one.tags, one.evidence))
        # From here on nothing may refuse: the rules see the fact, and so does the rest of the batch.
        self._rules.apply(replay.fact(index, made, statement, one.actor, one.tags))
        leaf = hashing.leaf(data)
        batch = self.batch
        batch.entries.append((index, data, leaf, previous, self._number(one.actor)))
        batch.statements.append((claims.iss, claims.jti, index))
        self._heads[name] = batch.streams[name] = StreamHead(seq, leaf, index, is_closing)
        if claims.actor_seq is not None:
            batch.counters[claims.iss, statement.header.x5t] = claims.actor_seq
        if one.tags:
            batch.tags.extend((index, subject, tag) for subject, tag in one.tags.items())
        self._size = index + 1
        if claims.type in POLICIES and self.policy_index != index:
            self.policy_index = index
            self._beginning = entries.beginning(batch.head.origin, index)
        self._rec_ms = rec_ms
        appended = Appended(index, leaf, name, seq, rec_ms, 0)
        self.made[key] = (statement, appended)
        return appended

    def _again(self, statement: Statement, key: Key) -> Appended:
        """The answer of the first time, if these very words are in the log; raises JtiReused for other words."""
        made = self.made.get(key)
        if made is not None:
            first, before = made
            position.refuse_other_words(statement, first.raw, before.index)
            return Appended(before.index, before.leaf_hash, before.stream, before.seq, before.rec_ms, 0, duplicate=True)
        index = self._found.statements[key]
        row = self._read(index)
        found = entries.decode(row.data)
        position.refuse_other_words(statement, found.stmt, index)
        # What we were committing when the connection was lost is no duplicate: nobody was told of it yet. The first
        # who asks now is told so, and only that one.
        is_ours = key not in self._told and self._unsure.get(key) == row.leaf
        self._told.add(key)
        size = self._found.head.size
        return Appended(index, row.leaf, found.stream, found.seq, found.rec, size, duplicate=not is_ours)

    def _refuse_reordered(self, statement: Statement, actor_seq: int) -> None:
        key = (statement.claims.iss, statement.header.x5t)
        last = self.batch.counters.get(key) or self._found.counters.get(key)
        if last is not None and actor_seq <= last:
            raise StatementReordered("the actor's counter did not grow", expected=f"more than {last}", found=actor_seq)

    def _number(self, actor: Actor) -> int:
        # By identity first: an actor's hash is one over everything that is said of it, and the door keeps the object.
        number = self._numbers.get(id(actor))
        if number is None:
            number = self._actors.get(actor)
            if number is None:
                number = self._actors[actor] = len(self._actors) + 1
                self.batch.actors[number] = actor
            self._numbers[id(actor)] = number
        return number

    def close(self, tiles: OpenTiles, projected: str | None) -> Head:
        """The head after this batch, whose leaves the tree now has; `tiles` are a copy, kept if it is committed."""
        batch = self.batch
        frontier = batch.head.frontier.copy()
        batch.tiles = tiles.grow(frontier, [row[2] for row in batch.entries])
        batch.head = Head(batch.head.origin, frontier.size, frontier, self._rec_ms, projected)
        return batch.head

    def answered(self, answers: list[list[Outcome]]) -> list[list[Outcome]]:
        """The same, with the size of the tree that the commit made; they were drafted here and nobody has seen them."""
        size = self.batch.head.size
        for outcomes in answers:
            for outcome in outcomes:
                if isinstance(outcome, Appended):
                    msgspec.structs.force_setattr(outcome, "tree_size", size)
        return answers


def policy_after(index: int, made: Entry) -> int:
    """Index of the policy in force after this entry."""
    return index if made.type in POLICIES else made.pol
