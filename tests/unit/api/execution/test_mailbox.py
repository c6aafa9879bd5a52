"""Letters to one station that nobody can take at once: each still ends at its own time."""

import asyncio

from api.execution.ocpp import messages as m
from api.execution.ocpp.mailbox import Letter, Mailbox, NeverSent, Overdue
from ledger.clock import SetClock


def letter(not_after_ms: int) -> Letter:
    request = m.ClearChargingProfileRequest(charging_profile_id=1)
    return Letter(
        action=m.action_of(request), request=request, not_after_ms=not_after_ms, timeout_s=0.05, reference="r"
    )


async def silent(_frame: bytes) -> None:
    """A connection whose other end says nothing."""


async def test_what_was_put_just_as_the_connection_ended_expires_at_its_time() -> None:
    clock = SetClock(0)
    mailbox = Mailbox("CS-1", clock, lambda *_: None)
    delivering = asyncio.create_task(mailbox.deliver(silent))
    await asyncio.sleep(0)
    mailbox.put(late := letter(1_000))
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    assert not late.reply.done()
    clock.set_ms(1_000)
    async with asyncio.timeout(5):
        assert await late.reply == NeverSent("NotAfter")
    mailbox.close()


async def test_what_waits_behind_a_call_that_is_not_answered_expires_at_its_time() -> None:
    clock = SetClock(0)
    mailbox = Mailbox("CS-1", clock, lambda *_: None)
    delivering = asyncio.create_task(mailbox.deliver(silent))
    await asyncio.sleep(0)
    first, second = letter(2**53), letter(1_000)
    first.timeout_s = 30.0
    mailbox.put(first)
    mailbox.put(second)
    clock.set_ms(1_000)
    async with asyncio.timeout(5):
        assert await second.reply == NeverSent("NotAfter")
    assert not first.reply.done()
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    assert first.reply.result() == Overdue()
    mailbox.close()
