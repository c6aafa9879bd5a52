"""Turns come in the order in which they were asked for; some overlap, the others are alone."""

import asyncio
from collections.abc import Awaitable, Callable

from api.flows.office_turns import Turns

MOST = 3


class Stage:
    """Acts that last until they are told to end, and who is at it."""

    def __init__(self) -> None:
        self.turns = Turns(MOST)
        self.on: list[str] = []
        self.seen: list[tuple[str, ...]] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, *, together: bool) -> None:
        """Asks for a turn and gives everybody time to begin who may."""
        self.ends[name] = asyncio.Event()

        async def act() -> None:
            async with self.turns.turn(together=together):
                self.on.append(name)
                self.seen.append(tuple(self.on))
                await self.ends[name].wait()
                self.on.remove(name)

        self.tasks[name] = asyncio.create_task(act())
        await self.settle()

    async def end(self, name: str) -> None:
        """The act is over."""
        self.ends[name].set()
        await self.settle()

    async def settle(self) -> None:
        """Every task that can go on has gone on."""
        for _ in range(10):
            await asyncio.sleep(0)


async def test_those_that_may_overlap_do_so_up_to_the_limit() -> None:
    stage = Stage()
    for name in "abcd":
        await stage.ask(name, together=True)
    assert stage.on == ["a", "b", "c"]
    await stage.end("b")
    assert stage.on == ["a", "c", "d"]


async def test_one_that_is_alone_waits_for_all_before_it_and_all_after_it_wait() -> None:
    stage = Stage()
    for name, together in (("a", True), ("b", True), ("alone", False), ("c", True), ("last", False)):
        await stage.ask(name, together=together)
    assert stage.on == ["a", "b"]
    await stage.end("a")
    assert stage.on == ["b"]
    await stage.end("b")
    assert stage.on == ["alone"]
    await stage.end("alone")
    assert stage.on == ["c"]
    await stage.end("c")
    assert stage.on == ["last"]
    assert all(len(on) == 1 for on in stage.seen if {"alone", "last"} & set(on))


async def test_two_that_are_alone_never_overlap() -> None:
    stage = Stage()
    for name in "abc":
        await stage.ask(name, together=False)
    for name in "abc":
        assert stage.on == [name]
        await stage.end(name)
    assert stage.on == []


async def test_who_leaves_before_its_turn_holds_nobody_up() -> None:
    stage = Stage()
    await stage.ask("a", together=True)
    await stage.ask("left", together=False)
    await stage.ask("b", together=True)
    assert stage.on == ["a"]
    stage.tasks["left"].cancel()
    await stage.settle()
    await stage.end("a")
    assert stage.on == ["b"]


async def test_who_leaves_in_the_moment_of_its_turn_gives_it_back() -> None:
    stage = Stage()
    await stage.ask("a", together=False)
    await stage.ask("left", together=False)
    stage.ends["a"].set()
    await asyncio.sleep(0)  # a ends, and the turn is given
    stage.tasks["left"].cancel()
    await stage.settle()
    await stage.ask("b", together=False)
    assert stage.on == ["b"]


async def test_an_act_that_fails_ends_its_turn() -> None:
    turns = Turns(MOST)

    async def fails(act: Callable[[], Awaitable[None]]) -> str:
        try:
            async with turns.turn(together=False):
                await act()
        except LookupError:
            return "failed"
        return "done"

    async def wrong() -> None:
        raise LookupError

    async def right() -> None:
        return None

    assert [await fails(wrong), await fails(right)] == ["failed", "done"]
