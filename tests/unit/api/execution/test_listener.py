"""The door for stations: who gets in, what they may send, and what happens to commands when they do not answer."""

import asyncio
import base64
import datetime as dt
import json
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from api.execution import port as neutral
from api.execution.errors import ListenerUnsafe, QueueFull, StationPathUnknown, StationUnknown
from api.execution.ocpp import codec, mailbox
from api.execution.ocpp.access import StationIdentity, server_context, station_of
from api.execution.ocpp.limits import Limits
from api.execution.ocpp.listener import StationListener
from api.execution.ocpp.port import OcppPort
from api.execution.port import EvseAddress, FollowSetpoint, LimitCharging, Verdict
from api.execution.simulator.evse import EvseConfig
from api.execution.simulator.fleet import Fleet, build_plant
from api.execution.simulator.station import SimulatedStation
from ledger.clock import SetClock
from pki.errors import Refused as PkiRefused
from tests.support.idle import Idle

START = 1_768_921_200_000
MINUTE = 60_000
E1 = EvseAddress(station_id="CS-1", evse_id=1)


@asynccontextmanager
async def serving(**more: object) -> AsyncIterator[tuple[StationListener, OcppPort, SetClock]]:
    clock = SetClock(START)
    listener = StationListener(host="127.0.0.1", port=0, clock=clock, **more)  # type: ignore[arg-type]
    port = OcppPort(listener, clock=clock, call_timeout_s=0.2, update_timeout_s=0.2)
    async with listener:
        yield listener, port, clock


@asynccontextmanager
async def raw_station(
    listener: StationListener, name: str = "CS-1", *, kind: type[ClientConnection] = Idle
) -> AsyncIterator[ClientConnection]:
    url = f"ws://127.0.0.1:{listener.bound_port}/ocpp/{name}"
    async with connect(
        url,
        subprotocols=["ocpp2.1"],  # type: ignore[list-item]
        compression=None,
        proxy=None,
        create_connection=kind,
    ) as connection:
        yield connection


async def ask(connection: ClientConnection, *frame: object) -> list[object]:
    await connection.send(json.dumps(frame))
    async with asyncio.timeout(2):
        return json.loads(await connection.recv())  # type: ignore[no-any-return]


def limit(power_w: int = 6000, *, number: int = 1, not_after_ms: int = 2**53) -> LimitCharging:
    return LimitCharging(command_id=f"c{number}", evse=E1, not_after_ms=not_after_ms, limit_w=power_w)


def follow(power_w: int, *, number: int) -> FollowSetpoint:
    return FollowSetpoint(command_id=f"c{number}", evse=E1, not_after_ms=2**53, setpoint_w=power_w)


# ---------------------------------------------------------------------- frames
async def test_calls_are_answered_and_what_is_not_known_is_not_implemented() -> None:
    async with serving() as (listener, _, _), raw_station(listener) as station:
        assert await ask(station, 2, "1", "Heartbeat", {}) == [3, "1", {"currentTime": "2026-01-20T15:00:00Z"}]
        assert (await ask(station, 2, "2", "Authorize", {}))[:3] == [4, "2", "NotImplemented"]
        assert (await ask(station, 2, "3", "SetChargingProfile", {}))[:3] == [4, "3", "NotImplemented"]
        assert (await ask(station, 2, "4", "MeterValues", {}))[:3] == [4, "4", "OccurrenceConstraintViolation"]
        assert (await ask(station, 2, "x" * 40, "Heartbeat", {}))[:3] == [4, "-1", "RpcFrameworkError"]
        # Unknown types and unmatched answers are counted and not answered; the connection lives on.
        for ignored in (
            [9, "5", {}],
            [3, "nobody", {}],
            [6, "6", "Unknown", {}],
            [6, "7", "NotifyPeriodicEventStream", {}],
        ):
            await station.send(json.dumps(ignored))
        assert (await ask(station, 2, "8", "Heartbeat", {}))[0] == 3
        counters = listener.counters
        assert (counters.frames_ignored, counters.answers_unmatched, counters.frames_refused) == (2, 1, 3)


async def test_a_frame_that_is_too_long_ends_the_connection() -> None:
    async with serving() as (listener, _, _), raw_station(listener) as station:
        await station.send("[" + " " * codec.MAX_FRAME_BYTES + "]")
        with pytest.raises(ConnectionClosed) as closed:
            await station.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_an_answer_that_does_not_fit_is_a_rejection_and_is_told_so() -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        sending = asyncio.create_task(port.send(limit()))
        call = json.loads(await station.recv())
        await station.send(json.dumps([3, call[1], {"status": "Perhaps"}]))
        assert (await sending).verdict is Verdict.REJECTED
        assert json.loads(await station.recv())[:2] == [5, call[1]]


async def test_a_callerror_is_a_rejection_with_its_code() -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        sending = asyncio.create_task(port.send(limit()))
        call = json.loads(await station.recv())
        await station.send(json.dumps([4, call[1], "NotSupported", "", {}]))
        assert await sending == neutral.Outcome(Verdict.REJECTED, "NotSupported")


# ---------------------------------------------------------------------- commands
async def test_one_call_at_a_time_is_outstanding_and_the_latest_setpoint_wins() -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        install = asyncio.create_task(port.send(follow(1, number=0)))
        call = json.loads(await station.recv())
        await station.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        assert await install == neutral.ACCEPTED
        updates = [asyncio.create_task(port.send(follow(power_w, number=power_w))) for power_w in (10, 20, 30)]
        first = json.loads(await station.recv())
        assert first[2:] == ["UpdateDynamicSchedule", {"chargingProfileId": 1001, "scheduleUpdate": {"setpoint": 30.0}}]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(station.recv(), 0.05)
        await station.send(json.dumps([3, first[1], {"status": "Accepted"}]))
        outcomes = await asyncio.gather(*updates)
        assert [outcome.verdict for outcome in outcomes] == [Verdict.EXPIRED, Verdict.EXPIRED, Verdict.ACCEPTED]
        assert outcomes[0].reason == "Superseded"


async def test_a_late_answer_is_matched_to_its_own_command_even_when_another_was_sent_since() -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        late: list[neutral.Telemetry] = []
        port.subscribe(lambda event: late.append(event) if isinstance(event, neutral.LateAnswer) else None)
        first = asyncio.create_task(port.send(limit(1, number=1)))
        one = json.loads(await station.recv())
        assert await first == neutral.TIMED_OUT
        second = asyncio.create_task(port.send(limit(2, number=2)))
        two = json.loads(await station.recv())
        await station.send(json.dumps([3, one[1], {"status": "Rejected", "statusInfo": {"reasonCode": "Late"}}]))
        await station.send(json.dumps([3, two[1], {"status": "Accepted"}]))
        assert await second == neutral.ACCEPTED
        assert isinstance(late[0], neutral.LateAnswer)
        assert (late[0].command_id, late[0].outcome) == ("c1", neutral.Outcome(Verdict.REJECTED, "Late"))


async def test_the_queue_of_a_station_is_bounded() -> None:
    async with serving() as (listener, port, _):
        waiting = [asyncio.create_task(port.send(limit(number=n))) for n in range(mailbox.MAX_QUEUED)]
        await asyncio.sleep(0)
        assert listener.queued("CS-1") == mailbox.MAX_QUEUED
        with pytest.raises(QueueFull):
            await port.send(limit(number=999))
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert listener.queued("CS-1") == 0


async def test_a_stale_command_is_not_delivered_after_a_reconnect() -> None:
    async with serving() as (listener, port, clock):
        sending = asyncio.create_task(port.send(limit(not_after_ms=START + MINUTE)))
        await asyncio.sleep(0.03)
        clock.set_ms(START + 4 * MINUTE)
        async with raw_station(listener) as station:
            assert await sending == neutral.Outcome(Verdict.EXPIRED, "NotAfter")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(station.recv(), 0.05)


async def test_a_connection_that_dies_under_a_command_leaves_it_unknown() -> None:
    async with serving() as (listener, port, _):
        async with raw_station(listener) as station:
            sending = asyncio.create_task(port.send(limit()))
            await station.recv()
        assert (await sending).verdict is Verdict.UNKNOWN


async def test_a_sender_that_no_longer_waits_does_not_stop_the_line() -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        sending = asyncio.create_task(port.send(limit(1, number=1)))
        one = json.loads(await station.recv())
        waiting = asyncio.create_task(port.send(limit(2, number=2)))
        await asyncio.sleep(0)
        for task in (sending, waiting):
            task.cancel()
        await asyncio.gather(sending, waiting, return_exceptions=True)
        await station.send(json.dumps([3, one[1], {"status": "Accepted"}]))
        third = asyncio.create_task(port.send(limit(3, number=3)))
        call = json.loads(await station.recv())
        # The second was withdrawn before it was sent, the third follows at once.
        period = call[3]["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]
        assert period["limit"] == 3
        await station.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        assert await third == neutral.ACCEPTED


async def test_a_command_that_does_not_fit_a_frame_is_never_sent_and_the_line_goes_on() -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        huge = neutral.ArmInverterCurve(
            command_id="c",
            evse=E1,
            not_after_ms=2**53,
            curve_type="VoltVar",
            points=(neutral.ControlPoint(x_millipercent=1, y_millipercent=1),) * 5000,
        )
        outcome = await port.send(huge)
        assert outcome == neutral.Outcome(Verdict.EXPIRED, "api/ocpp-frame-unfit")
        sending = asyncio.create_task(port.send(limit()))
        call = json.loads(await station.recv())
        await station.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        assert await sending == neutral.ACCEPTED


async def test_a_newer_connection_takes_the_place_of_the_older() -> None:
    async with serving() as (listener, port, _), raw_station(listener) as older, raw_station(listener) as newer:
        with pytest.raises(ConnectionClosed):
            await older.recv()
        assert (await ask(newer, 2, "1", "Heartbeat", {}))[0] == 3
        assert port.connected() == {"CS-1"}


async def test_of_three_connections_the_newest_is_served_also_while_an_older_one_is_slow_to_leave() -> None:
    async with serving(limits=Limits(close_timeout_s=0.5)) as (listener, port, _), raw_station(listener) as first:
        await ask(first, 2, "1", "Heartbeat", {})
        first.transport.pause_reading()  # the way to it is dead: it never answers that it closes
        async with raw_station(listener) as second, raw_station(listener) as third:
            assert (await ask(third, 2, "1", "Heartbeat", {}))[0] == 3
            await asyncio.wait_for(second.wait_closed(), 10)
            assert port.connected() == {"CS-1"}
            sending = asyncio.create_task(port.send(limit()))
            told = json.loads(await asyncio.wait_for(third.recv(), 10))
            assert told[2] == "SetChargingProfile"
            await third.send(json.dumps([3, told[1], {"status": "Accepted"}]))
            assert await sending == neutral.ACCEPTED
        first.transport.resume_reading()


async def test_a_station_can_be_disconnected() -> None:
    async with serving() as (listener, _, _), raw_station(listener) as station:
        await ask(station, 2, "1", "Heartbeat", {})
        await listener.disconnect("CS-1")
        with pytest.raises(ConnectionClosed):
            await station.recv()
        with pytest.raises(StationUnknown):
            await listener.disconnect("CS-2")


async def test_insane_values_of_a_station_are_dropped_and_counted() -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        heard: list[neutral.Telemetry] = []
        port.subscribe(heard.append)
        value = {"value": 1e300, "measurand": "Power.Active.Import"}
        far = {"value": 1, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W", "multiplier": 12}}
        odd = {"value": 1, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "furlong"}}
        kilo = {"value": 1.5, "measurand": "Power.Active.Export", "unitOfMeasure": {"unit": "kW"}}
        stamp = "2026-01-20T15:00:00Z"
        values = [{"timestamp": stamp, "sampledValue": [v]} for v in (value, far, odd, kilo)]
        assert (await ask(station, 2, "1", "MeterValues", {"evseId": 1, "meterValue": values}))[0] == 3
        assert [e.power_w for e in heard if isinstance(e, neutral.SampleReading)] == [-1500]
        assert port.dropped.values == 3


async def test_a_stream_of_samples_is_heard_and_nonsense_in_it_is_dropped() -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        heard: list[neutral.Telemetry] = []
        port.subscribe(heard.append)
        data = [{"t": 0.1, "v": "-500;49985;0"}, {"t": 1, "v": "x;y;z"}, {"t": 2, "v": "1;2"}]
        message = {"id": 1, "pending": 0, "basetime": "2026-01-20T15:00:00Z", "data": data}
        await station.send(json.dumps([6, "1", "NotifyPeriodicEventStream", message]))
        await ask(station, 2, "2", "Heartbeat", {})
        samples = [e for e in heard if isinstance(e, neutral.SampleReading)]
        assert [(s.at_ms, s.power_w, s.freq_millihertz) for s in samples] == [(START + 100, -500, 49_985)]
        assert port.dropped.values == 2


@pytest.mark.parametrize(
    ("request_id", "block", "blocks", "records"),
    [(7, 0, 1, ""), (1, 1, 1, ""), (1, 0, 1, "AAAA"), (1, 0, 1, "*"), (1, 0, 200, "")],
)
async def test_log_blocks_that_do_not_fit_are_refused(request_id: int, block: int, blocks: int, records: str) -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        fetch = neutral.FetchLog(command_id="c", evse=E1, not_after_ms=2**53, from_ms=0, to_ms=1)
        sending = asyncio.create_task(port.send(fetch))
        call = json.loads(await station.recv())
        await station.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        assert await sending == neutral.ACCEPTED
        data = {"requestId": request_id, "block": block, "blocks": blocks, "records": records}
        request = {"vendorId": "org.flexledger", "messageId": "DataCollectorLog", "data": data}
        answer = await ask(station, 2, "1", "DataTransfer", request)
        assert answer[0] == 4 or answer[2] == {"status": "Rejected"}
        heard: list[neutral.Telemetry] = []
        port.subscribe(heard.append)
        await ask(station, 2, "2", "LogStatusNotification", {"status": "Uploaded", "requestId": 1})
        assert isinstance(heard[0], neutral.LogFailed)
        assert heard[0].reason == "Incomplete"


@pytest.mark.parametrize(
    ("wide", "record", "whole"),
    [
        (False, struct.pack(">QiiiHH", START, 1, 50_000, 1, 0, 0), True),
        (False, struct.pack(">QiiiHH", START, 1, 50_000, 1, 0x8000, 0), False),
        (True, struct.pack(">QiiiHHiiiHH", START, 1, 50_000, 1, 0, 0, 230_000, -5, 0, 640, 11), True),
        (True, struct.pack(">QiiiHHiiiHH", START, 1, 50_000, 1, 0, 0, 230_000, -5, 9, 640, 11), False),
        # Five plain records are as long as three wide ones: what they say is not what was asked for.
        (True, b"".join(struct.pack(">QiiiHH", START + n, 1, 50_000, 1, 0, n) for n in range(5)), False),
    ],
)
async def test_a_log_of_records_that_their_format_does_not_allow_has_failed(
    wide: bool, record: bytes, whole: bool
) -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        fetch = neutral.FetchLog(command_id="c", evse=E1, not_after_ms=2**53, from_ms=0, to_ms=1, wide=wide)
        sending = asyncio.create_task(port.send(fetch))
        call = json.loads(await station.recv())
        await station.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        assert await sending == neutral.ACCEPTED
        data = {"requestId": 1, "block": 0, "blocks": 1, "records": base64.b64encode(record).decode()}
        request = {"vendorId": "org.flexledger", "messageId": "DataCollectorLog", "data": data}
        await ask(station, 2, "1", "DataTransfer", request)
        heard: list[neutral.Telemetry] = []
        port.subscribe(heard.append)
        await ask(station, 2, "2", "LogStatusNotification", {"status": "Uploaded", "requestId": 1})
        (event,) = heard
        if whole:
            assert isinstance(event, neutral.LogUploaded)
            assert event.samples == (b"flexs/2\n" if wide else b"") + record
        else:
            assert isinstance(event, neutral.LogFailed)
            assert event.reason == "Malformed"


async def test_another_control_that_takes_the_place_of_ours_is_told_and_a_strangers_is_not() -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        heard: list[neutral.Telemetry] = []
        port.subscribe(heard.append)
        for number, ids in enumerate((["somebodys"], ["flex-x"], ["somebodys", "flex-1"])):
            event = {"controlId": "so-7", "started": True, "timestamp": "2026-01-20T15:00:00Z", "supersededIds": ids}
            await ask(station, 2, str(number), "NotifyDERStartStop", event)
        assert heard == [neutral.CurveSuperseded(evse=E1, at_ms=START)]


async def test_a_vendors_message_that_is_not_ours_is_answered_as_the_standard_says() -> None:
    async with serving() as (listener, _, _), raw_station(listener) as station:
        assert (await ask(station, 2, "1", "DataTransfer", {"vendorId": "x"}))[2] == {"status": "UnknownVendorId"}
        ours = {"vendorId": "org.flexledger", "messageId": "x"}
        assert (await ask(station, 2, "2", "DataTransfer", ours))[2] == {"status": "UnknownMessageId"}


async def test_holes_in_the_numbering_of_transaction_events_are_counted() -> None:
    async with serving() as (listener, port, _), raw_station(listener) as station:
        for number, kind in ((0, "Started"), (1, "Updated"), (3, "Updated")):
            event = {
                "eventType": kind,
                "timestamp": "2026-01-20T15:00:00Z",
                "triggerReason": "Trigger",
                "seqNo": number,
                "transactionInfo": {"transactionId": "t"},
            }
            event |= {"evse": {"id": 1}} if number == 0 else {}
            assert (await ask(station, 2, str(number), "TransactionEvent", event))[0] == 3
        assert port.sequence_gaps == 1
        assert port.transaction(E1) == "t"


# ---------------------------------------------------------------------- the door
@pytest.mark.parametrize(
    "path", ["/", "/ocpp", "/ocpp/", "/ocpp/a/b", "/ocpp/" + "x" * 49, "/ocpp/%2Fa", "/x/CS-1", "/ocpp/a%20b"]
)
async def test_a_path_that_is_no_stations_is_not_found(path: str) -> None:
    with pytest.raises(StationPathUnknown):
        station_of(path)
    async with serving() as (listener, _, _):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{listener.bound_port}{path}", subprotocols=["ocpp2.1"], proxy=None)  # type: ignore[list-item]
        assert refused.value.response.status_code == 404


async def test_a_station_that_speaks_another_version_is_sent_away() -> None:
    async with serving() as (listener, _, _):
        with pytest.raises((InvalidStatus, ConnectionClosed)):
            async with connect(
                f"ws://127.0.0.1:{listener.bound_port}/ocpp/CS-1",
                subprotocols=["ocpp1.6"],  # type: ignore[list-item]
                proxy=None,
            ) as station:
                await station.recv()
        assert listener.counters.admitted == 0


async def test_one_station_too_many_is_turned_away() -> None:
    async with serving(limits=Limits(max_connections=1)) as (listener, _, _), raw_station(listener) as station:
        await ask(station, 2, "1", "Heartbeat", {})
        with pytest.raises(InvalidStatus) as refused:
            async with raw_station(listener, "CS-2"):
                pass
        assert refused.value.response.status_code == 503
        assert listener.counters.turned_away == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])
def test_plain_stations_are_served_on_loopback_only(host: str) -> None:
    with pytest.raises(ListenerUnsafe):
        StationListener(host=host, port=0, clock=SetClock(0))


async def test_a_password_opens_only_its_own_path() -> None:
    def check(user: str, password: str) -> StationIdentity:
        if password != "right":
            raise PkiRefused("wrong password")
        return StationIdentity(user)

    async with serving(check_password=check) as (listener, port, _):
        plant = build_plant("CS-1", (EvseConfig(evse_id=1),), seed=1, start_ms=START)
        url = f"ws://127.0.0.1:{listener.bound_port}/ocpp"
        for password in (None, "wrong"):
            with pytest.raises(InvalidStatus) as refused:
                await SimulatedStation(plant, url, password=password).connect()
            assert refused.value.response.status_code == 403
        station = SimulatedStation(plant, url, password="right")
        await station.connect()
        assert port.connected() == {"CS-1"}
        await station.close()


# ---------------------------------------------------------------------- TLS
@dataclass
class Authority:
    """A certificate authority of a test, and where its files are."""

    folder: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._issue("Test CA", self.key, None)
        self.path = self._write("ca", self.certificate.public_bytes(serialization.Encoding.PEM))

    def _issue(
        self, name: str, key: ec.EllipticCurvePrivateKey, usage: x509.ObjectIdentifier | None
    ) -> x509.Certificate:
        now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if usage is None else self.certificate.subject
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=3650))
            .not_valid_after(now + dt.timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=usage is None, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if usage is None:
            signing = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(signing, critical=True)
        else:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, name: str, data: bytes) -> Path:
        path = self.folder / f"{name}.pem"
        path.write_bytes(data)
        return path

    def files(self, name: str, usage: x509.ObjectIdentifier) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        certificate = self._issue(name, key, usage).public_bytes(pem)
        return self._write(name, certificate), self._write(f"{name}-key", private)

    def server(self) -> ssl.SSLContext:
        return server_context(*self.files("localhost", ExtendedKeyUsageOID.SERVER_AUTH), self.path)

    def client(self, name: str | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.path)
        if name is not None:
            context.load_cert_chain(*self.files(name, ExtendedKeyUsageOID.CLIENT_AUTH))
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def common_name(der: bytes, chain: Sequence[bytes]) -> StationIdentity:
    """The stub of what `pki` does: the name, unless revoked; the issuer comes with the leaf."""
    assert len(chain) == 1
    name = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    if name == "REVOKED":
        raise PkiRefused("revoked")
    return StationIdentity(str(name))


def station_over_tls(listener: StationListener, name: str, context: ssl.SSLContext) -> SimulatedStation:
    plant = build_plant(name, (EvseConfig(evse_id=1),), seed=1, start_ms=START)
    return SimulatedStation(plant, f"wss://localhost:{listener.bound_port}/ocpp", ssl_context=context)


async def over_tls(authority: Authority, claimed: str, certified: str | None) -> frozenset[str]:
    async with serving(ssl_context=authority.server(), authenticate=common_name) as (listener, port, _):
        station = station_over_tls(listener, claimed, authority.client(certified))
        await station.connect()
        connected = port.connected()
        await station.close()
        return connected


async def test_a_station_with_its_own_certificate_gets_in(authority: Authority) -> None:
    assert await over_tls(authority, "CS-1", "CS-1") == {"CS-1"}


@pytest.mark.parametrize("certified", ["CS-2", "REVOKED"])
async def test_a_certificate_of_another_station_or_a_revoked_one_is_forbidden(
    authority: Authority, certified: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await over_tls(authority, "CS-1" if certified != "REVOKED" else "REVOKED", certified)
    assert refused.value.response.status_code == 403


async def test_a_station_without_a_certificate_does_not_finish_the_handshake(authority: Authority) -> None:
    # In TLS 1.3 a client learns of it when it reads: as an alert, or as an end of the stream.
    with pytest.raises((OSError, InvalidMessage)):
        await over_tls(authority, "CS-1", None)


async def test_authentication_may_be_asynchronous(authority: Authority) -> None:
    async def authenticate(der: bytes, chain: Sequence[bytes]) -> StationIdentity:
        await asyncio.sleep(0)
        return common_name(der, chain)

    async with serving(ssl_context=authority.server(), authenticate=authenticate) as (listener, port, _):
        fleet = Fleet(
            [station_over_tls(listener, "CS-1", authority.client("CS-1")).plant],
            f"wss://localhost:{listener.bound_port}/ocpp",
            ssl_of=authority.client,
        )
        await fleet.connect()
        assert port.connected() == {"CS-1"}
        await fleet.close()


async def test_a_certificate_is_demanded_when_the_listener_authenticates() -> None:
    async with serving(authenticate=common_name) as (listener, _, _):
        with pytest.raises(InvalidStatus) as refused:
            async with raw_station(listener):
                pass
        assert refused.value.response.status_code == 403


# ---------------------------------------------------------------------- the dead-man
async def test_when_the_listener_dies_the_evse_leaves_the_service_by_itself() -> None:
    plant = build_plant("CS-1", (EvseConfig(evse_id=1),), seed=1, start_ms=START)
    async with serving() as (listener, port, _):
        station = SimulatedStation(plant, f"ws://127.0.0.1:{listener.bound_port}/ocpp")
        await station.connect()
        command = LimitCharging(command_id="c", evse=E1, not_after_ms=2**53, duration_s=3600, limit_w=6000)
        assert await port.send(command) == neutral.ACCEPTED
        await station.advance_to(START + MINUTE)
        assert plant.evses[1].power_w == 6000
    await asyncio.sleep(0.05)
    await station.advance_to(START + 5 * MINUTE)
    assert plant.evses[1].power_w == 6000  # maxOfflineDuration has not passed
    await station.advance_to(START + 7 * MINUTE)
    assert plant.evses[1].service is None
    assert plant.evses[1].power_w == 22_000
    await station.close()
