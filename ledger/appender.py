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
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Self

from ledger.clock import Clock
from ledger.draft import COARSE_MS, Appended, Draft, Outcome, Submission, policy_after
from ledger.errors import Broken, Busy, LedgerError
from ledger.records import entry as entries
from ledger.records.actor import Actor
from ledger.rules.fact import Fact
from ledger.store import replay
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
from ledger.store.position import JtiReused, SignerLate, StatementReordered, StreamEnded, StreamMiscounted, StreamMoved
from ledger.store.protocol import Head, Store, StreamHead, Wanted
from ledger.store.publisher import Publisher

__all__ = [
    "COARSE_MS",
    "Appended",
    "Appender",
    "AppenderBroken",
    "AppenderClosed",
    "JtiReused",
    "ListTooLong",
    "Outcome",
    "Publisher",
    "QueueFull",
    "Rules",
    "SignerLate",
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
Waiting = tuple[list[Submission], "asyncio.Future[list[Outcome]]"]


class Appender:
    """One log's sequencer; use `start`."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        rules: Rules | KeptRules,
        queue_limit: int,
        patience_s: float,
    ) -> None:
        """Use `start`."""
        self._store = store
        self._clock = clock
        self._state: Folded | Kept = folding(store, rules)
        self.policy_index = 0
        """Of the policy in force, which the next entry names; entry 0 names itself."""
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
        """The state of the rules after the last commit. Ask again each time: a failed commit replaces the object.

        While the commit of a shared store is awaited, it is the state after the batch that is being committed.
        """
        return self._state.rules

    def listen(self, follower: Follower) -> None:
        """From now on `follower` hears of every entry that another replica wrote, once it is folded here."""
        self._followers.append(follower)

    async def append(self, submission: Submission) -> Appended:
        """The entry of this statement, durable; the same statement again gives the same answer.

        Raises QueueFull, AppenderClosed, StoreFull, StoreUnreachable, OutcomeUnknown, SignerLate (Busy); JtiReused,
        StreamMoved, StreamEnded, StreamMiscounted, StatementReordered and whatever the rules refuse with (Refused);
        StoreIo, StoreDamaged, RolledBack (Broken).
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
        self._acknowledge(taken, [[self._told(one, error) for one in submissions] for submissions, _ in taken])

    def _told(self, submission: Submission, error: LedgerError) -> LedgerError:
        """The error, unless the answer to an earlier attempt was lost: then the entry may be there all the same."""
        claims = submission.statement.claims
        if (claims.iss, claims.jti) not in self._unsure or not isinstance(error, Busy):
            return error
        return OutcomeUnknown("an answer was lost in COMMIT, and nobody could be asked since", found=error.code)

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
        await self._require_continued(head)
        known = head.size if self._head is None else self._head.size

        def hear(fact: Fact) -> None:
            if fact.index >= known:
                self._tell(fact)

        self._actors = await self._state.load(head, hear)
        if isinstance(self._state, Kept):
            await hear_all(self._store, known, head.size, self._tell)
        self._tiles = tiles
        self._head = head
        self.policy_index = self._policy_after(head.size)
        self._streams = {}
        self._is_stale = False

    def _policy_after(self, size: int) -> int:
        """Index of the policy in force after so many entries; the last of them says."""
        return policy_after(size - 1, entries.decode(self._store.entry(size - 1).data)) if size else 0

    def _require_grown(self, head: Head) -> None:
        """Raises RolledBack if the log is shorter than we have seen it, as after a failover that lost entries."""
        if self._head is not None and head.size < self._head.size:
            raise RolledBack("the log lost what was acknowledged", expected=self._head.size, found=head.size)

    async def _require_continued(self, head: Head) -> None:
        """Raises HistoryDiffers if the log is not the one that we have seen, gone on: one that a failover cut may have
        grown past us since, and then its size tells nothing.
        """
        if self._head is None:
            return
        frontier = self._head.frontier.copy()
        for first in range(frontier.size, head.size, replay.BLOCK):
            tail = await self._store.tail(first, min(head.size, first + replay.BLOCK), known_actors=len(self._actors))
            for row in tail.entries:
                frontier.append(row.leaf)
        if frontier != head.frontier:
            raise HistoryDiffers("the log is not the one that we have seen", expected=self._head.size, size=head.size)

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
        self.policy_index = policy_after(facts[-1].index, facts[-1].entry)
        self._is_stale = False

    async def _judge(self, taken: list[Waiting]) -> tuple[Draft, list[list[Outcome]]]:
        """A draft of all that may be written, on the committed head, with an answer for each; raises HeadMoved."""
        if self._store.is_shared and sum(len(submissions) for submissions, _ in taken) < MAX_BATCH:
            # Whoever came while we waited for the others goes along.
            taken += self._take()
        wanted, heads = self._wanted(taken)
        found = await self._store.look_up(wanted)
        self._state.require_ours(found.head)
        await self._catch_up(found.head)
        for name in wanted.streams:
            heads[name] = found.streams.get(name)
        self._state.look(heads)
        draft = Draft(
            found,
            heads,
            rules=self._state.rules,
            actors=self._actors,
            policy_index=self.policy_index,
            now_ms=self._clock.now_ms(),
            unsure=self._unsure,
            read=self._store.entry,
        )
        self._is_stale = True
        try:
            answers = [[draft.take(one) for one in submissions] for submissions, _ in taken]
        except Exception:
            # What the rules fetched on the way may be of a later moment than the head, and then nothing is broken.
            await self._store.confirm(found.head)
            raise
        if draft.is_empty:
            try:
                await self._store.confirm(found.head)
            except HeadMoved:
                self._drop(draft)
                raise
        return draft, answers

    def _drop(self, draft: Draft) -> None:
        """Nothing was written. Head and tiles move after a commit only, so all else that was drafted goes."""
        self._state.undo(draft.batch)
        for actor in draft.batch.actors.values():
            del self._actors[actor]
        self._is_stale = isinstance(self._state, Folded)

    async def _commit(self, taken: list[Waiting]) -> list[list[Outcome]]:
        if self._halted is not None:
            raise self._halted
        await self._store.begin()
        try:
            draft, answers = await self._judge(taken)
            tiles = self._tiles.copy()
            made = draft.close(tiles, self._state.version)
        except BaseException:
            await self._store.unlock()
            raise
        if draft.is_empty:
            await self._store.unlock()
            # What was looked at for refusals takes room too.
            self._state.settle()
            self._is_stale = False
            if any(isinstance(outcome, Appended) for outcomes in answers for outcome in outcomes):
                # What is said to be there must be where a failover finds it, even if nothing new is written now.
                await self._store.settle()
            return answers
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
        self._tiles = tiles
        self.policy_index = draft.policy_index
        self._state.settle()
        self._is_stale = False
        if not self._store.is_shared:
            if len(self._streams) + len(draft.batch.streams) > CACHED_STREAMS:
                self._streams.clear()
            self._streams.update(draft.batch.streams)
        return draft.answered(answers)

    def _wanted(self, taken: list[Waiting]) -> tuple[Wanted, dict[str, StreamHead | None]]:
        """What is to be looked up, and the head of each stream as far as it is known here."""
        wanted = Wanted()
        heads: dict[str, StreamHead | None] = {}
        counters: dict[tuple[str, str], None] = {}
        # What is remembered of a stream holds only where nobody else can have moved it.
        known = {} if self._store.is_shared else self._streams
        for submissions, _ in taken:
            for submission in submissions:
                claims = submission.statement.claims
                wanted.statements.append((claims.iss, claims.jti))
                name = claims.stream
                if name not in heads:
                    heads[name] = head = known.get(name)
                    if head is None:
                        wanted.streams.append(name)
                if claims.actor_seq is not None:
                    counters[claims.iss, submission.statement.header.x5t] = None
        wanted.counters.extend(counters)
        return wanted, heads
