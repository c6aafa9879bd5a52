"""The service dies in the middle of a request (SIGKILL): stations leave by themselves, and the record says what is known.

A real service process, eight simulated stations over mTLS and OCPP, the real clock.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from api.cli.demo import cast, dev, dev_request, props, stage
from api.cli.demo.dev_request import Asking, Running
from api.cli.demo.stage import Stage
from api.cli.demo.story import Play
from api.execution.simulator.battery import Battery
from api.execution.simulator.demand import ConstantDemand
from api.execution.simulator.frequency import Steady
from api.verification import page
from api.verification.bundle import Verification, open_bundle
from api.verification.report import Exit
from ledger.clock import SystemClock
from ledger.records.execution import Cause, ExecutionKind
from pki import ceremony

pytestmark = [pytest.mark.day, pytest.mark.slow, pytest.mark.timeout(300)]

SECONDS = 12
LEAD_MS = 8_000
REDUCE_W = 40_000
CAPPED_W = (dev.EVSE_W * len(cast.BAYS) - REDUCE_W) // len(cast.BAYS)


@contextlib.asynccontextmanager
async def depot(folder: Path) -> AsyncIterator[Stage]:
    """The depot of `flexledger dev`, charging at a service of its own."""
    clock = SystemClock()
    spec = msgspec.structs.replace(cast.ceremony(), created_at_ms=clock.now_ms())
    made = ceremony.perform(spec, tls_now_ms=clock.now_ms(), signing_now_ms=clock.now_ms())
    demands = {bay.name: ConstantDemand(dev.EVSE_W) for bay in cast.BAYS}
    async with stage.opened(
        folder, clock=None, made=made, frequency=Steady(), demands=dict(demands), system_clock=clock
    ) as found:
        for station in found.fleet.stations.values():
            for evse in station.plant.evses.values():
                evse.battery = Battery(capacity_wh=dev.BATTERY_WH)
        await found.fleet.connect()
        await dev.open_the_depot(Play(found, lambda text: None))
        yield found


def running(found: Stage) -> Running:
    return Running(
        origin=cast.ORIGIN,
        vkey=found.server.vkey,
        port=found.server.port,
        ops_port=found.server.ops_port,
        fsc_id=dev.FSC,
        evse_w=dev.EVSE_W,
        persons={bay.evse_id: found.party_id(bay.person) for bay in cast.BAYS},
    )


async def live(found: Stage) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            await found.fleet.advance_to(found.clock.now_ms())
        await asyncio.sleep(0.2)


async def ask(found: Stage) -> Asking:
    now_ms = found.clock.now_ms()
    start_at_ms = -(-(now_ms + LEAD_MS) // 1000) * 1000
    asking = Asking(
        fsr_id=props.new_id("fsr"), start_at_ms=start_at_ms, end_at_ms=start_at_ms + SECONDS * 1000, reduce_w=REDUCE_W
    )
    where = running(found)
    async with (
        dev_request._client(found.folder, where, cast.FO) as fo,
        dev_request._client(found.folder, where, cast.CSO) as cso,
    ):
        await dev_request._issue(fo, where, asking)
        checked = await dev_request._post(cso, "/v1/checks", {"fsr_id": asking.fsr_id, "evse_ids": list(where.persons)})
        everybody = checked["participations"]
        await dev_request._answer(cso, where, asking, checked, everybody)
        await dev_request._commit_baseline(cso, where, asking, [one["participation"] for one in everybody])
    return asking


def powers(found: Stage) -> Counter[int]:
    return Counter(
        evse.power_w // 1000 for station in found.fleet.stations.values() for evse in station.plant.evses.values()
    )


def in_service(found: Stage) -> int:
    return sum(
        evse.service is not None for station in found.fleet.stations.values() for evse in station.plant.evses.values()
    )


async def test_a_service_that_is_killed_leaves_stations_that_fall_back_and_a_record_that_says_what_is_proven(
    tmp_path: Path,
) -> None:
    async with depot(tmp_path) as found:
        living = asyncio.create_task(live(found))
        try:
            asking = await ask(found)

            async def all_serve() -> bool:
                return in_service(found) == len(cast.BAYS)

            await found.until("every EVSE serves", all_serve)
            await asyncio.sleep(3)
            found.server.process.kill()
            found.server.process.wait(30)

            # Nobody commands them any more: they keep to what was agreed, until their profiles run out.
            await asyncio.sleep(2)
            assert in_service(found) == len(cast.BAYS)
            assert sum(powers(found).values()) == len(cast.BAYS)
            assert max(powers(found)) <= CAPPED_W // 1000 + 1

            async def fell_back() -> bool:
                return in_service(found) == 0 and min(powers(found)) >= dev.EVSE_W // 1000 - 1

            await found.until("every EVSE left by itself", fell_back)

            found.server = await stage.start(found.server.config, found.folder)
            for station in found.fleet.stations.values():
                station.url = f"wss://localhost:{found.server.ocpp_port}/ocpp/{station.station_id}"
            await brought_back(found, asking)
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)
            stage.stop(found.server.process)


async def brought_back(found: Stage, asking: Asking) -> None:
    """The restarted service has asked the stations for their own records, and what it proves is what they show."""
    where = running(found)
    async with (
        dev_request._client(found.folder, where, cast.CSO) as cso,
        dev_request._client(found.folder, where, cast.AUD) as auditor,
    ):

        async def recorded() -> bool:
            return bool((await cso.get_json(asking.path))["service_records"] == len(cast.BAYS))

        await found.until("a service record for each EVSE", recorded)
        await dev_request._post(cso, f"{asking.path}/proof", {})
        proof = (await cso.get_json(asking.path))["proof"]
        data = await auditor.get_bytes(f"{asking.path}/record")
    assert proof["verdict"] == "DELIVERED"
    verification = Verification(open_bundle(data), None)
    report = verification.run()
    assert report.outcome is Exit.VERIFIED
    assert verification.context is not None

    # Since when nobody watched is on record, and that it was this side's fault; who was told is not told again.
    told = Counter((one.kind, one.cause) for one in verification.context.noted)
    assert told[ExecutionKind.COMMS_LOST, Cause.FAULT] == len(cast.BAYS)
    assert told[ExecutionKind.DISPATCHED, None] == told[ExecutionKind.STARTED, None] == len(cast.BAYS)
    # Nobody saw the end, so nobody says that it was completed before the station was heard of again.
    completed = [one.at_ms for one in verification.context.noted if one.kind is ExecutionKind.COMPLETED]
    assert len(completed) == len(cast.BAYS)

    # The meters' values at the start died with the service: the grades say so, and the page shows it.
    grades = [line.detail for line in report.lines if line.check == "evidence grade"]
    # Of every EVSE: what its meter's values are worth, and what its samples are, which the station itself has signed.
    of_samples = [detail for detail in grades if detail.startswith("samples: ")]
    of_meters = [detail for detail in grades if detail not in of_samples]
    assert of_samples == ["samples: trust STATION_SIGNED"] * len(cast.BAYS)
    assert len(of_meters) == len(cast.BAYS)
    assert all("signature UNKNOWN NO_SIGNED_VALUE" in detail for detail in of_meters)
    text = page.render(verification, report, digest="00" * 32, policy_digest=None)
    assert "COMMS_LOST" in text
    assert "NO_SIGNED_VALUE" in text
