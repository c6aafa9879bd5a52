"""What attacks on a house are made of: good statements, to be spoilt or sent by the wrong party."""

from typing import Any

from api import wire
from api.cli.demo import cast, props, story
from ledger.records import canonical
from ledger.records.opt import Choice, OptActor, OptDecided, OptReason
from ledger.records.requests import Answer, CancelReason, RequestCancelled, RequestIssued
from ledger.records.sites import SessionMirrored
from tests.support import house as houses
from tests.support.house import CANARY, House

FSR = "fsr-attacked"
START_MS = cast.at(17)
END_MS = cast.at(18)
EVSE = cast.BAYS[0].evse_id


def request(fsr_id: str = FSR, **changes: Any) -> RequestIssued:
    """A congestion request of the evening under the site's contract, which is good unless `changes` spoil it."""
    fields: dict[str, Any] = {
        "fsc_ids": ("fsc-site",),
        "start_at_ms": START_MS,
        "end_at_ms": END_MS,
        "respond_by_ms": cast.at(15),
        "opt_deadline_ms": cast.at(16),
        "resolution_ms": 1000,
    }
    return props.request(fsr_id, props.congestion(START_MS, (8_000,) * 4), **{**fields, **changes})


def cancelled(fsr_id: str = FSR) -> RequestCancelled:
    """A cancellation of the request."""
    return RequestCancelled(fsr_id=fsr_id, reason=CancelReason.NO_LONGER_NEEDED)


def session(evse_id: str = EVSE, evu: str = CANARY) -> SessionMirrored:
    """A session of a person that nobody knows."""
    return SessionMirrored(
        session_id=props.new_id("session"),
        site_id=cast.SITE,
        evse_id=evse_id,
        evu=evu,
        discharge_allowed=True,
        from_ms=cast.at(8),
        until_ms=cast.at(23),
    )


async def issued(house: House, fsr_id: str = FSR, **changes: Any) -> None:
    """The request is on record; it is two in the afternoon."""
    house.clock.set_ms(max(house.clock.now_ms(), cast.at(14)))
    await story.issue(house.play(), request(fsr_id, **changes))


async def checked(house: House, fsr_id: str = FSR, bays: tuple[cast.Bay, ...] = cast.DC_BAYS[:2]) -> dict[str, str]:
    """Participation by the name of the bay."""
    play = house.play()
    found = await story.check(play, fsr_id, bays)
    house.checks.update(play.checked)
    return found


async def accepted(
    house: House, fsr_id: str = FSR, bays: tuple[cast.Bay, ...] = cast.DC_BAYS[:2], power_w: int = 4_000
) -> dict[str, str]:
    """The request is issued, checked and accepted; participations by the name of the bay."""
    await issued(house, fsr_id)
    play = house.play()
    found = await story.check(play, fsr_id, bays)
    await story.answer(play, fsr_id, found, {bay.name: power_w for bay in bays}, Answer.ACCEPTED)
    return found


def at(tail: str, fsr_id: str = FSR) -> str:
    """A resource below the request."""
    return f"/v1/requests/{fsr_id}/{tail}"


def claims(house: House, who: str, **changes: Any) -> dict[str, Any]:
    """The claims of a good cancellation, to be spoilt."""
    good = {
        "aud": cast.ORIGIN,
        "event": {"fsr_id": FSR, "reason": "NO_LONGER_NEEDED"},
        "iat": house.clock.now_ms() // 1000,
        "iss": house.party(who),
        "jti": "0123456789abcdef0123",
        "stream": f"fsr/{FSR}",
        "type": RequestCancelled.TYPE,
        "v": 1,
    }
    return {**good, **changes}


def packed(value: Any) -> bytes:
    """Its canonical bytes."""
    return canonical.encode(value)


async def refused(house: House, who: str, path: str, body: Any) -> houses.Reply:
    """Whatever the code is: a problem, and nothing is left."""
    with house.leaves():
        reply = await house.post(who, path, body)
    assert reply.headers["content-type"] == wire.PROBLEM_MEDIA_TYPE
    assert CANARY not in reply.body.decode().casefold()
    house.require_silent()
    return reply


def out(participation: str, actor: OptActor = OptActor.EVU, fsr_id: str = FSR) -> OptDecided:
    """A decision to opt out."""
    return OptDecided(
        opt_id=props.new_id("opt"),
        fsr_id=fsr_id,
        participation=participation,
        actor=actor,
        choice=Choice.OUT,
        reason=OptReason.BATTERY_CARE,
    )
