"""P17, P19, P20: OCPP frames, calibrated meter records, and trees of samples."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.execution.ocpp import codec
from api.execution.ocpp.messages import ACTIONS
from ledger.delivery import samples
from ledger.delivery.meter import MeterReading, build_payload
from ledger.delivery.ocmf import open_ocmf, sign_ocmf
from ledger.delivery.readings import Pagination
from ledger.delivery.samples import Sample
from tests.bench.frame import Pair, Row, Scale, over, repeated, speed, time

NOW_MS = 1_795_532_000_000
A_QUARTER_MS = 15 * 60_000
TEN_HZ_MS = 100
METER_VALUES = b"""{"evseId": 1, "meterValue": [{"timestamp": "2026-01-20T06:00:00Z", "sampledValue": [
{"value": 7412.5, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "W"}},
{"value": 1234567.8, "measurand": "Energy.Active.Import.Register", "unitOfMeasure": {"unit": "Wh"}},
{"value": 49.98, "measurand": "Frequency", "unitOfMeasure": {"unit": "Hz"}}]}]}"""
PROFILE = b"""{"evseId": 1, "chargingProfile": {"id": 7, "stackLevel": 3, "chargingProfilePurpose": "TxProfile",
"chargingProfileKind": "Absolute", "transactionId": "5c1d", "chargingSchedule": [{"id": 7, "chargingRateUnit": "W",
"startSchedule": "2026-01-20T06:00:00Z", "duration": 1800, "chargingSchedulePeriod": [
{"startPeriod": 0, "limit": 11000.0}, {"startPeriod": 900, "limit": 7400.0}]}]}}"""


def _codec(name: str, text: bytes) -> Callable[[Scale], AbstractContextManager[Pair]]:
    @contextmanager
    def prepare(scale: Scale) -> Iterator[Pair]:
        decoder = ACTIONS[name].request_decoder
        message = decoder.decode(text)
        encoder = msgspec.json.Encoder()

        def round_trip() -> None:
            frame = codec.decode(codec.encode_call("19223201", name, message))
            if not isinstance(frame, codec.Call):
                raise TypeError("a CALL comes back as a CALL")
            codec.open_payload(frame.payload, decoder, frame.message_id)

        times = scale.of(20_000, 5_000)
        yield Pair(repeated(round_trip, times), repeated(lambda: decoder.decode(encoder.encode(message)), times))

    return prepare


def _ocmf(curve: ec.EllipticCurve) -> Callable[[Scale], AbstractContextManager[Pair]]:
    @contextmanager
    def prepare(scale: Scale) -> Iterator[Pair]:
        key = ec.generate_private_key(curve)
        public = key.public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        texts = [
            sign_ocmf(
                build_payload(
                    meter_serial="M-1",
                    pagination=Pagination("T", page),
                    readings=[MeterReading(at_ms=NOW_MS, energy_milliwh=1000 * page, transaction="C", decimals=6)],
                ),
                key,
            )
            for page in range(1, scale.of(300, 60))
        ]
        records = [open_ocmf(text, der).record for text in texts]
        how = ec.ECDSA(hashes.SHA256())
        yield Pair(
            over(lambda text: open_ocmf(text, der), texts),
            over(lambda record: public.verify(record.signature, record.payload, how), records),
        )

    return prepare


@contextmanager
def _samples(scale: Scale) -> Iterator[Pair]:
    body = samples.encode(
        Sample(t_ms=t_ms, power_w=7000 + seq % 50, freq_millihertz=50_000, setpoint_w=7000, status=0, seq=seq)
        for seq, t_ms in enumerate(range(NOW_MS, NOW_MS + A_QUARTER_MS, TEN_HZ_MS))
    )
    size = samples.RECORD_BYTES

    def each_record() -> None:
        for at in range(0, len(body), size):
            sha256(body[at : at + size]).digest()

    times = scale.of(30, 8)
    yield Pair(repeated(lambda: samples.root(body), times), repeated(each_record, times))


ROWS = (
    Row(
        id="P17",
        what="OCPP round trip, MeterValues",
        floor="msgspec encode and decode of the same message",
        goal=time(2.0),
        prepare=_codec("MeterValues", METER_VALUES),
    ),
    Row(
        id="P17",
        what="OCPP round trip, SetChargingProfile",
        floor="msgspec encode and decode of the same message",
        goal=time(2.0),
        prepare=_codec("SetChargingProfile", PROFILE),
    ),
    Row(
        id="P19",
        what="OCMF verification, P-256",
        floor="bare verification of the same signatures, key loaded",
        goal=speed(0.80),
        prepare=_ocmf(ec.SECP256R1()),
    ),
    Row(
        id="P19",
        what="OCMF verification, P-384",
        floor="bare verification of the same signatures, key loaded",
        goal=speed(0.80),
        prepare=_ocmf(ec.SECP384R1()),
    ),
    Row(
        id="P20",
        what="root over 15 minutes of samples at 10 Hz",
        floor="SHA-256 of each of the 9,000 records",
        goal=time(3.0),
        prepare=_samples,
    ),
)
