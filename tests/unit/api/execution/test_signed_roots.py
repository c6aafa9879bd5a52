"""What a station signed of a log goes with that log, once, and what it did not sign for it goes nowhere."""

import asyncio
import base64
import json
import struct

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from api.execution import port as neutral
from ledger.delivery import station_root
from ledger.delivery.station_root import SignedRoot
from ledger.records.evidence import SampleSchema
from tests.unit.api.execution.test_listener import E1, START, ask, raw_station, serving

ROOT = SignedRoot(
    request_id=1,
    station_id="CS-1",
    evse_id=1,
    schema=SampleSchema.NARROW,
    root="0" * 64,
    n=1,
    from_ms=START,
    to_ms=START + 1,
    seq=1,
    signed_at_ms=START + 1,
)
STATION_KEY = ec.derive_private_key(7, ec.SECP256R1())


def signed_message(**changes: object) -> dict[str, object]:
    found = station_root.sign(msgspec.structs.replace(ROOT, **changes), STATION_KEY, "A" * 43)
    return {"payload": found.payload, "protected": found.protected, "signature": found.signature}


async def test_a_signed_root_goes_with_its_log_once_whatever_the_message_is_called() -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        fetch = neutral.FetchLog(command_id="c", evse=E1, not_after_ms=2**53, from_ms=START, to_ms=START + 1)
        sending = asyncio.create_task(port.send(fetch))
        call = json.loads(await station.recv())
        await station.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        assert await sending == neutral.ACCEPTED
        for number, changes in enumerate(
            ({"request_id": 2}, {"station_id": "CS-2"}, {"evse_id": 2}, {"from_ms": START - 1}, {"to_ms": START + 2})
        ):
            answer = await ask(station, 2, f"x{number}", "DataTransfer-Signed", signed_message(**changes))
            assert answer[2] == {"status": "Rejected"}, changes
        first = signed_message()
        assert (await ask(station, 2, "a", "DataTransfer-Signed", first))[2] == {"status": "Accepted"}
        assert (await ask(station, 2, "b", "DataTransfer-Signed", first))[2] == {"status": "Rejected"}
        record = struct.pack(">QiiiHH", START, 1, 50_000, 1, 0, 0)
        data = {"requestId": 1, "block": 0, "blocks": 1, "records": base64.b64encode(record).decode()}
        request = {"vendorId": "org.flexledger", "messageId": "DataCollectorLog", "data": data}
        await ask(station, 2, "1", "DataTransfer", request)
        heard: list[neutral.Telemetry] = []
        port.subscribe(heard.append)
        await ask(station, 2, "2", "LogStatusNotification", {"status": "Uploaded", "requestId": 1})
        (event,) = heard
        assert isinstance(event, neutral.LogUploaded)
        assert event.station_jws is not None
        assert station_root.open_root(event.station_jws, STATION_KEY.public_key(), "A" * 43).root == ROOT
        # The log is closed: the same words under yet another id go nowhere.
        assert (await ask(station, 2, "c", "DataTransfer-Signed", first))[2] == {"status": "Rejected"}
        assert port.dropped.signed == 7


@pytest.mark.parametrize(
    "bad",
    [
        {"payload": "AA", "protected": "AA", "signature": "AA"},
        {"payload": "A" * 5_000, "protected": "AA", "signature": "AA"},
        {"payload": "A" * 40_000, "protected": "AA", "signature": "AA"},
        {"payload": "", "protected": "", "signature": ""},
        {"payload": "AA", "protected": "AA"},
        {"payload": "AA", "protected": "AA", "signature": "AA", "header": {"jwk": {}}},
    ],
    ids=["no-json", "large", "beyond-the-field", "empty", "truncated", "unprotected-header"],
)
async def test_a_signed_message_that_is_none_is_refused_and_the_line_holds(bad: dict[str, object]) -> None:
    async with serving() as (listener, _port, _), raw_station(listener) as station:
        assert (await ask(station, 2, "1", "DataTransfer-Signed", bad))[0] == 4
        assert (await ask(station, 2, "2", "Heartbeat", {}))[0] == 3
