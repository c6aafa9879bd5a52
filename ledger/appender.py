"""The sequencer: the only writer of a log.

Group commit without a thread: whatever queued while the last batch was written is the next batch, and all of it,
COMMIT included, runs on the event loop's thread. A loop over rows in another thread would lose most of its time to the
interpreter's lock. Nobody is told an index before COMMIT has returned.

Where several replicas write one log, the row of the head is the lock between them: a batch is judged only by who holds
it, and only after everything that the others wrote meanwhile was folded. A connection that is lost while it commits
leaves the outcome open; the batch is then judged again, and what did get through is found by its statement ids.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

import msgspec

from ledger.clock import Clock
from ledger.errors import Broken, LedgerError, Refused
from ledger.records import entry as entries
from ledger.records.actor import Actor
from ledger.records.entry import Entry, Submitter
from ledger.records.log import StreamClosed
from ledger.records.statement import Statement
from ledger.rules.fact import Evidence, Fact
from ledger.store import position, replay
from ledger.store.errors import (
    AppenderBroken,
    AppenderClosed,
    HeadMoved,
    HistoryDiffers,
    ListTooLong,
    OutcomeUnknown,
    ProjectionsOther,
    QueueFull,
    RolledBack,
    StoreDamaged,
    StoreIo,
    StoreUnreachable,
)
from ledger.store.folding import Folded, Follower, Kept, KeptRules, Rules, folding, hear_all
from ledger.store.nodes import OpenTiles
from ledger.store.position import JtiReused, StatementReordered, StreamEnded, StreamMiscounted, StreamMoved
from ledger.store.protocol import Batch, Found, Head, Store, StreamHead, Wanted
from ledger.store.publisher import Publisher
from ledger.tlog import hashing

__all__ = [
    "Appended",
    "Appender",
    "AppenderBroken",
    "AppenderClosed",
    "JtiReused",
    "ListTooLong",
    "Publisher",
    "QueueFull",
    "Rules",
    "StatementReordered",
    "StreamEnded",
    "StreamMiscounted",
    "StreamMoved",
    "Submission",
]

MAX_QUEUED: Final = 10_000
"""Submissions that may wait; the next one is refused with QueueFull, so memory stays bounded."""
MAX_BATCH: Final = 2_000
"""Submissions in one transaction (the last list taken may exceed it by its own length)."""
MAX_LIST: Final = 1_000
"""Submissions in one `append_many`."""
CACHED_STREAMS: Final = 65_536
FOLLOW_S: Final = 0.2
"""How often an idle replica looks for what the others wrote."""
PATIENCE_S: Final = 30.0
"""How long a batch waits for a database that does not answer, as while its standby takes over."""
PAUSE_S: Final = (0.02, 0.5)
"""Between two attempts: at first, and at most."""
COARSE_MS: Final = 15 * 60 * 1000
"""Records whose moment is personal carry the quarter of an hour."""


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


class Appended(msgspec.Struct, frozen=True):
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
Waiting = tuple[list[Submission], "asyncio.Future[list[Outcome]]"]


class _Draft:
    """A batch that is being made: a copy of the sequencer's state, which replaces it after COMMIT or is dropped."""

    def __init__(self, found: Found, tiles: OpenTiles) -> None:
        head = found.head
        self.found = found
        self.frontier = head.frontier.copy()
        self.tiles = tiles.copy()
        self.rec_ms = head.rec_ms
        self.batch = Batch(head)
        self.made: dict[tuple[str, str], tuple[str, Appended]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be written."""
        return self.frontier.size == self.found.head.size

    def close(self, projected: str | None) -> Head:
        self.batch.head = Head(self.found.head.origin, self.frontier.size, self.frontier, self.rec_ms, projected)
        return self.batch.head


class Appender:
    """One log's sequencer; use `start`."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        rules: Rules | KeptRules,
        policy_index: int,
        queue_limit: int,
        patience_s: float,
    ) -> None:
        """Use `start`."""
        self._store = store
        self._clock = clock
        self._state: Folded | Kept = folding(store, rules)
        self.policy_index = policy_index
        self._queue_limit = queue_limit
        self._patience_s = patience_s
        self._queue: deque[Waiting] = deque()
        self._queued = 0
        self._wake = asyncio.Event()
        self._is_closing = False
        self._is_stale = False
        self._halted: Broken | None = None
        self._unsure: dict[tuple[str, str], bytes] = {}
        """(party, jti) -> leaf hash of what was being committed when the connection was lost."""
        self._followers: list[Follower] = []
        self._head: Head | None = None
        self._tiles: OpenTiles
        self._streams: dict[str, StreamHead] = {}
        self._actors: dict[Actor, int] = {}
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        store: Store,
        *,
        origin: str,
        clock: Clock,
        rules: Rules | KeptRules,
        policy_index: int = 0,
        queue_limit: int = MAX_QUEUED,
        patience_s: float = PATIENCE_S,
    ) -> Self:
        """The sequencer of the log of `origin`, begun if the store is new, with `rules` folded over all of it.

        `rules` must be fresh: nothing applied yet. Rules that can be written down by key are not folded: what they
        know stands in the store, and is made anew only if it was written by another version.
        Raises StoreForeign, StoreDamaged, StoreUnreachable.
        """
        store.begin_log(origin)
        appender = cls(
            store,
            clock=clock,
            rules=rules,
            policy_index=policy_index,
            queue_limit=queue_limit,
            patience_s=patience_s,
        )
        await appender._load()
        appender._task = asyncio.create_task(appender._work(), name="appender")
        return appender

    @property
    def head(self) -> Head:
        """The committed head, as far as it is folded here."""
        assert self._head is not None  # noqa: S101 -- `start` loads it before anyone can ask
        return self._head

    @property
    def rules(self) -> Rules | KeptRules:
        """The state of the rules after the last commit. Ask again each time: a failed commit replaces the object."""
        return self._state.rules

    def listen(self, follower: Follower) -> None:
        """From now on `follower` hears of every entry that another replica wrote, once it is folded here."""
        self._followers.append(follower)

    async def append(self, submission: Submission) -> Appended:
        """The entry of this statement, durable; the same statement again gives the same answer.

        Raises QueueFull, AppenderClosed, StoreFull, StoreUnreachable, OutcomeUnknown (Busy); JtiReused, StreamMoved,
        StreamEnded, StreamMiscounted, StatementReordered and whatever the rules refuse with (Refused); StoreIo,
        StoreDamaged, RolledBack (Broken).
        """
        (outcome,) = await self._enqueue([submission])
        if isinstance(outcome, LedgerError):
            raise outcome
        return outcome

    async def append_many(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """One outcome a submission, in order; each stands alone, but all are written by one transaction.

        Raises QueueFull, AppenderClosed, ListTooLong, having written nothing.
        """
        if len(submissions) > MAX_LIST:
            raise ListTooLong("too many statements at once", expected=f"at most {MAX_LIST}", found=len(submissions))
        return await self._enqueue(list(submissions)) if submissions else []

    def _enqueue(self, submissions: list[Submission]) -> "asyncio.Future[list[Outcome]]":
        if self._is_closing:
            raise AppenderClosed("the log is being shut down")
        if self._queued + len(submissions) > self._queue_limit:
            raise QueueFull("too many statements are waiting", expected=f"at most {self._queue_limit}")
        answered: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._queue.append((submissions, answered))
        self._queued += len(submissions)
        self._wake.set()
        return answered

    async def close(self) -> None:
        """What was queued is written, then the sequencer stops. The store stays open: its owner closes it."""
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
            await self._store.leave()

    async def _work(self) -> None:
        while True:
            await self._woken()
            while self._queue:
                taken = self._take()
                await self._write(taken)
                # Those who were answered may queue again before the next batch is taken.
                await asyncio.sleep(0)
            if self._is_closing:
                return

    async def _woken(self) -> None:
        """Something is queued, or we are closing; meanwhile the others are followed, if there can be any."""
        while self._store.is_shared and not self._wake.is_set():
            try:
                async with asyncio.timeout(FOLLOW_S):
                    await self._wake.wait()
            except TimeoutError:
                await self._follow()
        await self._wake.wait()
        self._wake.clear()

    async def _follow(self) -> None:
        """Folds what the others wrote. A failure is met again, and answered, by the next batch."""
        # Nobody waits for this, so there is nobody to tell.
        with suppress(Exception):
            if self._halted is None and not self._is_stale:
                await self._catch_up(await self._store.peek())

    def _take(self) -> list[Waiting]:
        taken: list[Waiting] = []
        count = 0
        while self._queue and count < MAX_BATCH:
            waiting = self._queue.popleft()
            count += len(waiting[0])
            taken.append(waiting)
        self._queued -= count
        return taken

    async def _write(self, taken: list[Waiting]) -> None:
        """One batch: made, committed, acknowledged; or refused as a whole."""
        try:
            answers = await self._patiently(taken)
        except LedgerError as error:
            self._fail(taken, error)
        except Exception as error:  # noqa: BLE001 -- whatever it is, nobody may wait for ever
            self._fail(taken, AppenderBroken("the batch could not be made", found=type(error).__name__))
        else:
            self._acknowledge(taken, answers)
        self._unsure.clear()

    async def _patiently(self, taken: list[Waiting]) -> list[list[Outcome]]:
        """Tries again for as long as the database only cannot be reached; judged anew each time, so nothing doubles."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._patience_s
        pause_s = PAUSE_S[0]
        while True:
            try:
                if self._is_stale:
                    await self._recover()
                return await self._commit(taken)
            except HeadMoved:
                # The next attempt holds the head before it looks.
                continue
            except StoreUnreachable:
                if loop.time() >= until_s:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(PAUSE_S[1], 2 * pause_s)

    def _acknowledge(self, taken: list[Waiting], answers: list[list[Outcome]]) -> None:
        for (_, answered), outcomes in zip(taken, answers, strict=True):
            if not answered.done():
                answered.set_result(outcomes)

    def _fail(self, taken: list[Waiting], error: LedgerError) -> None:
        """Nothing of the batch was kept, or nobody knows; whatever the rules have seen of it is loaded again."""
        if isinstance(error, StoreIo | RolledBack | HistoryDiffers | ProjectionsOther):
            # After a failed sync nobody knows what the medium holds, and a log that lost what it had promised must not
            # be continued: only a restart may write again.
            self._halted = error
        self._state.drop()
        self._acknowledge(taken, [[error] * len(submissions) for submissions, _ in taken])

    async def _recover(self) -> None:
        """Loads everything again after a failure, as soon as there is room."""
        self._store.require_room()
        try:
            await self._load()
        except LedgerError:
            raise
        except Exception as error:
            raise AppenderBroken("the log could not be loaded again", found=type(error).__name__) from error

    async def _load(self) -> None:
        """Takes over the committed state, and the rules folded over it."""
        head = await self._store.peek()
        tiles = replay.open_tiles(self._store, head)
        self._require_grown(head)
        known = head.size if self._head is None else self._head.size

        def hear(fact: Fact) -> None:
            if fact.index >= known:
                self._tell(fact)

        self._actors = await self._state.load(head, hear)
        if isinstance(self._state, Kept):
            await hear_all(self._store, known, head.size, self._tell)
        self._tiles = tiles
        self._head = head
        self._streams = {}
        self._is_stale = False

    def _require_grown(self, head: Head) -> None:
        """Raises RolledBack if the log is shorter than we have seen it, as after a failover that lost entries."""
        if self._head is not None and head.size < self._head.size:
            raise RolledBack("the log lost what was acknowledged", expected=self._head.size, found=head.size)

    def _tell(self, fact: Fact) -> None:
        for follower in self._followers:
            follower(fact)

    async def _catch_up(self, head: Head) -> None:
        """Folds what the others wrote up to this head; raises RolledBack, HistoryDiffers, StoreDamaged."""
        mine = self.head
        self._require_grown(head)
        if head.size == mine.size:
            if head.frontier != mine.frontier:
                raise HistoryDiffers("the log is another one of the same size", size=head.size)
            return
        tail = await self._store.tail(mine.size, head.size, known_actors=len(self._actors))
        self._is_stale = True
        self._actors.update((actor, number) for number, actor in tail.actors.items())
        actors = {number: actor for actor, number in self._actors.items()}
        frontier, tiles = mine.frontier.copy(), self._tiles.copy()
        facts = list(replay.facts(tail, mine.size, head.size, actors))
        for row in tail.entries:
            tiles.add(frontier.append(row.leaf))
        if frontier != head.frontier:
            raise StoreDamaged("the entries are not the head's", expected=head.frontier.root().hex(), size=head.size)
        await self._state.follow(mine.size, facts)
        for fact in facts:
            self._tell(fact)
        self._tiles = tiles
        self._head = head
        self._is_stale = False

    async def _judge(self, taken: list[Waiting]) -> tuple[_Draft, list[list[Outcome]]]:
        """A draft of all that may be written, on the committed head, with an answer for each; raises HeadMoved."""
        if self._store.is_shared and sum(len(submissions) for submissions, _ in taken) < MAX_BATCH:
            # Whoever came while we waited for the others goes along.
            taken += self._take()
        wanted = self._wanted(taken)
        found = await self._store.look_up(wanted)
        self._state.require_ours(found.head)
        await self._catch_up(found.head)
        self._state.look({name: found.streams.get(name) for name in wanted.streams})
        draft = _Draft(found, self._tiles)
        self._is_stale = True
        answers = [[self._outcome(draft, one) for one in submissions] for submissions, _ in taken]
        if draft.is_empty:
            await self._store.confirm(found.head)
        return draft, answers

    def _drop(self, draft: _Draft) -> None:
        """Another replica wrote first. Head and tiles move after a commit only, so all else that was drafted goes."""
        self._state.drop()
        for actor in draft.batch.actors.values():
            del self._actors[actor]
        self._is_stale = isinstance(self._state, Folded)

    async def _commit(self, taken: list[Waiting]) -> list[list[Outcome]]:
        if self._halted is not None:
            raise self._halted
        await self._store.begin()
        try:
            draft, answers = await self._judge(taken)
        except BaseException:
            await self._store.unlock()
            raise
        if draft.is_empty:
            await self._store.unlock()
            self._state.look({})
            self._is_stale = False
            if any(isinstance(outcome, Appended) for outcomes in answers for outcome in outcomes):
                # What is said to be there must be where a failover finds it, even if nothing new is written now.
                await self._store.settle()
            return answers
        made = draft.close(self._state.version)
        self._state.write(draft.batch)
        try:
            await self._store.commit(draft.batch)
        except HeadMoved:
            self._drop(draft)
            raise
        except OutcomeUnknown:
            self._unsure.update({key: appended.leaf_hash for key, (_, appended) in draft.made.items()})
            raise
        # Committed. The state moves only now.
        self._head = made
        self._tiles = draft.tiles
        self._state.settle()
        self._is_stale = False
        if not self._store.is_shared:
            if len(self._streams) + len(draft.batch.streams) > CACHED_STREAMS:
                self._streams.clear()
            self._streams.update(draft.batch.streams)
        return [[_sized(outcome, made.size) for outcome in outcomes] for outcomes in answers]

    def _wanted(self, taken: list[Waiting]) -> Wanted:
        wanted = Wanted()
        streams: dict[str, None] = {}
        counters: dict[tuple[str, str], None] = {}
        for submissions, _ in taken:
            for submission in submissions:
                statement = submission.statement
                claims = statement.claims
                wanted.statements.append((claims.iss, claims.jti))
                # What is remembered of a stream holds only where nobody else can have moved it.
                if self._store.is_shared or claims.stream not in self._streams:
                    streams[claims.stream] = None
                if claims.actor_seq is not None:
                    counters[claims.iss, statement.header.x5t] = None
        wanted.streams.extend(streams)
        wanted.counters.extend(counters)
        return wanted

    def _outcome(self, draft: _Draft, submission: Submission) -> Outcome:
        try:
            return self._draft_one(draft, submission)
        except Refused as error:
            return error

    def _draft_one(self, draft: _Draft, submission: Submission) -> Appended:
        """Checks one submission against the log so far and puts its entry into the draft; raises Refused."""
        statement = submission.statement
        claims = statement.claims
        known = self._known(draft, statement)
        if known is not None:
            return known
        stream = self._stream(draft, claims.stream)
        position.refuse_misplaced(statement, stream)
        self._refuse_reordered(draft, statement)
        index = draft.frontier.size
        rec_ms = max(draft.rec_ms, self._now_ms(statement))
        made = Entry(
            log=draft.batch.head.origin,
            pol=self.policy_index,
            prev=stream.leaf.hex() if stream else entries.NO_PREVIOUS,
            rec=rec_ms,
            seq=stream.seq + 1 if stream else 1,
            stmt=statement.raw,
            stream=claims.stream,
            sub=submission.submitter,
            type=claims.type,
            v=claims.v,
        )
        data = entries.encode(made)
        self._state.rules.check(
            Fact(
                index=index,
                entry=made,
                statement=statement,
                actor=submission.actor,
                # What a later audit will judge by; where the entry's time is coarse, only the door knew the exact one.
                now_ms=submission.now_ms if statement.record.COARSE else rec_ms,
                tags=submission.tags,
                evidence=submission.evidence,
            )
        )
        # From here on nothing may refuse: the rules see the fact, and so does the rest of the batch.
        actor = self._actor_id(draft, submission.actor)
        self._state.rules.apply(replay.fact(index, made, statement, submission.actor, submission.tags))
        leaf = hashing.leaf(data)
        draft.batch.tiles += draft.tiles.add(draft.frontier.append(leaf))
        draft.rec_ms = rec_ms
        draft.batch.entries.append((index, data, leaf, stream.index if stream else None, actor))
        draft.batch.statements.append((claims.iss, claims.jti, index))
        is_closed = isinstance(statement.record, StreamClosed)
        draft.batch.streams[claims.stream] = StreamHead(made.seq, leaf, index, is_closed)
        if claims.actor_seq is not None:
            draft.batch.counters[claims.iss, statement.header.x5t] = claims.actor_seq
        draft.batch.tags.extend((index, name, tag) for name, tag in submission.tags.items())
        appended = Appended(index, leaf, claims.stream, made.seq, rec_ms, 0)
        draft.made[claims.iss, claims.jti] = (statement.raw, appended)
        return appended

    def _now_ms(self, statement: Statement) -> int:
        now_ms = self._clock.now_ms()
        return now_ms - now_ms % COARSE_MS if statement.record.COARSE else now_ms

    def _known(self, draft: _Draft, statement: Statement) -> Appended | None:
        """The answer of the first time, if these very words are in the log; raises JtiReused for other words."""
        claims = statement.claims
        made = draft.made.get((claims.iss, claims.jti))
        if made is not None:
            position.refuse_other_words(statement, made[0], made[1].index)
            before = made[1]
            return Appended(before.index, before.leaf_hash, before.stream, before.seq, before.rec_ms, 0, duplicate=True)
        index = draft.found.statements.get((claims.iss, claims.jti))
        if index is None:
            return None
        row = self._store.entry(index)
        found = entries.decode(row.data)
        position.refuse_other_words(statement, found.stmt, index)
        # What we were committing when the connection was lost is no duplicate: nobody was told of it yet.
        is_ours = self._unsure.get((claims.iss, claims.jti)) == row.leaf
        return Appended(index, row.leaf, found.stream, found.seq, found.rec, self.head.size, duplicate=not is_ours)

    def _stream(self, draft: _Draft, name: str) -> StreamHead | None:
        return draft.batch.streams.get(name) or draft.found.streams.get(name) or self._streams.get(name)

    def _refuse_reordered(self, draft: _Draft, statement: Statement) -> None:
        claims = statement.claims
        if claims.actor_seq is None:
            return
        key = (claims.iss, statement.header.x5t)
        last = draft.batch.counters.get(key) or draft.found.counters.get(key)
        if last is not None and claims.actor_seq <= last:
            raise StatementReordered(
                "the actor's counter did not grow", expected=f"more than {last}", found=claims.actor_seq
            )

    def _actor_id(self, draft: _Draft, actor: Actor) -> int:
        number = self._actors.get(actor)
        if number is None:
            number = self._actors[actor] = len(self._actors) + 1
            draft.batch.actors[number] = actor
        return number


def _sized(outcome: Outcome, size: int) -> Outcome:
    """The answer with the size of the tree that the commit made; it was drafted by us and nobody has seen it yet."""
    if isinstance(outcome, Appended):
        msgspec.structs.force_setattr(outcome, "tree_size", size)
    return outcome
