import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.delivery import grading, meter, ocmf
from ledger.delivery.errors import OcmfSignature, OcmfUnsupported
from ledger.delivery.grading import Evidence, Grade, KeyBinding, Shown, Trust, Window
from ledger.delivery.meter import EXPORT_TOTAL, MeterReading
from ledger.delivery.ocmf import Quirk, VerifiedOcmf
from ledger.delivery.readings import Pagination
from ledger.delivery.samples import Closure, ClosureVerdict
from ledger.delivery.verdicts.outcome import Verdict

START = 1_768_921_200_000
END = START + 3_600_000
METER = ec.derive_private_key(63_382, ec.SECP256R1())
WINDOW = Window(begin_at_ms=START, end_at_ms=END, tolerance_ms=2_000)


def der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def shown(*given: MeterReading, number: int = 7, serial: str = "FLX0001", kind: str = "T") -> VerifiedOcmf:
    payload = meter.build_payload(meter_serial=serial, pagination=Pagination(kind, number), readings=given)
    return ocmf.open_ocmf(ocmf.sign_ocmf(payload, METER), der(METER))


def begins(**changes: object) -> MeterReading:
    given: dict[str, object] = {"at_ms": START, "energy_milliwh": 1_000_000, "transaction": "B"}
    return MeterReading(**(given | changes))  # type: ignore[arg-type]


def ends(**changes: object) -> MeterReading:
    given: dict[str, object] = {"at_ms": END, "energy_milliwh": 8_000_000, "transaction": "E"}
    return MeterReading(**(given | changes))  # type: ignore[arg-type]


BEGIN, FINISH = shown(begins()), shown(ends(), number=8)
BINDING = KeyBinding(
    key_sha256=BEGIN.key_sha256, meter_serial="FLX0001", valid_from_ms=START - 1, valid_until_ms=END + 1
)
CLOSED = Closure(
    integral_milliwh=7_000_100, register_milliwh=7_000_000, tolerance_milliwh=35_000, verdict=ClosureVerdict.PROVES
)


def grade(begin: Shown = BEGIN, end: Shown = FINISH, **changes: object) -> Evidence:
    given: dict[str, object] = {
        "binding": BINDING,
        "window": WINDOW,
        "closure": CLOSED,
        "missing_ppm": 0,
        "delivery": Verdict.DELIVERED,
        "channel": Trust.STATION_SIGNED,
    }
    return grading.grade(begin, end, **(given | changes))  # type: ignore[arg-type]


def of(evidence: Evidence, aspect: str) -> tuple[Grade, str]:
    finding = evidence.of(aspect)
    return finding.grade, finding.code


def test_evidence_without_a_flaw_is_ok_in_every_aspect() -> None:
    evidence = grade()
    assert {finding.grade for finding in evidence.findings} == {Grade.OK}
    assert [finding.aspect for finding in evidence.findings] == [
        "signature",
        "key",
        "pagination",
        "meter_state",
        "time",
        "register",
        "closure",
        "completeness",
        "delivery",
    ]
    assert (evidence.overall, evidence.trust) == (Grade.OK, Trust.METER_SIGNED)
    assert evidence.energy_milliwh == 7_000_000


def test_a_refused_signature_is_evidence_against_and_an_unsupported_one_is_none() -> None:
    assert of(grade(end=OcmfSignature("no")), "signature") == (Grade.FAILED, "ledger/ocmf-signature")
    assert of(grade(begin=OcmfUnsupported("no")), "signature") == (Grade.UNKNOWN, "ledger/ocmf-unsupported")
    mixed = grade(begin=OcmfUnsupported("no"), end=OcmfSignature("no"))
    assert of(mixed, "signature") == (Grade.FAILED, "ledger/ocmf-signature")
    nothing = grade(begin=None)
    assert of(nothing, "signature") == (Grade.UNKNOWN, "NO_SIGNED_VALUE")
    assert of(nothing, "register") == (Grade.UNKNOWN, "NO_VERIFIED_VALUE")
    assert (nothing.trust, nothing.energy_milliwh) == (Trust.STATION_SIGNED, None)


def test_a_signature_that_needed_a_quirk_is_weak() -> None:
    payload = meter.build_payload(meter_serial="FLX0001", pagination=Pagination("T", 8), readings=[ends()])
    r, s = utils.decode_dss_signature(ocmf.parse_ocmf(ocmf.sign_ocmf(payload, METER)).signature)
    bare = ocmf.open_ocmf(
        f'OCMF|{payload}|{{"SD":"{r:064x}{s:064x}"}}', der(METER), accept=frozenset({Quirk.RAW_SIGNATURE})
    )
    assert of(grade(end=bare), "signature") == (Grade.WEAK, "SIGNATURE_WITH_QUIRK")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"key_sha256": "00" * 32}, (Grade.FAILED, "KEY_OF_ANOTHER_METER")),
        ({"meter_serial": "FLX0002"}, (Grade.FAILED, "METER_SERIAL_DIFFERS")),
        ({"valid_until_ms": END}, (Grade.FAILED, "KEY_NOT_VALID_THEN")),
        ({"valid_from_ms": START + 1}, (Grade.FAILED, "KEY_NOT_VALID_THEN")),
        ({"valid_from_ms": START, "valid_until_ms": END + 1}, (Grade.OK, "KEY_BOUND")),
    ],
)
def test_the_key_is_graded_against_its_binding(changes: dict[str, object], expected: tuple[Grade, str]) -> None:
    evidence = grade(binding=msgspec.structs.replace(BINDING, **changes))
    assert of(evidence, "key") == expected


def test_a_key_without_a_binding_is_unknown_and_no_meter_trust_follows() -> None:
    evidence = grade(binding=None)
    assert of(evidence, "key") == (Grade.UNKNOWN, "KEY_NOT_BOUND")
    assert (evidence.trust, evidence.overall) == (Trust.STATION_SIGNED, Grade.UNKNOWN)


def test_a_gap_in_the_pagination_is_a_record_that_was_not_shown() -> None:
    skipped = shown(ends(), number=9)
    assert of(grade(end=skipped), "pagination") == (Grade.FAILED, "PAGINATION_GAP")
    assert of(grade(end=skipped, records_between=1), "pagination") == (Grade.OK, "PAGINATION_WHOLE")
    assert of(grade(end=shown(ends(), number=6)), "pagination") == (Grade.FAILED, "PAGINATION_BACKWARDS")
    assert of(grade(end=shown(ends(), number=7)), "pagination") == (Grade.FAILED, "PAGINATION_REPEATED")
    other = shown(ends(), number=8, kind="F")
    assert of(grade(end=other), "pagination") == (Grade.FAILED, "PAGINATION_KIND_DIFFERS")
    unpaged = shown(ends(), kind="X", number=8)
    assert of(grade(end=unpaged), "pagination") == (Grade.UNKNOWN, "NO_PAGINATION")


def test_begin_and_end_in_one_record_are_whole() -> None:
    both = shown(begins(), ends())
    evidence = grade(begin=both, end=both)
    assert of(evidence, "pagination") == (Grade.OK, "ONE_RECORD")
    assert evidence.energy_milliwh == 7_000_000


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"meter_state": "S"}, (Grade.WEAK, "SUBSTITUTE_VALUE")),
        ({"meter_state": "M"}, (Grade.FAILED, "METER_FAULT")),
        ({"meter_state": "N"}, (Grade.UNKNOWN, "NO_METER_STATE")),
        ({"error_flags": "E"}, (Grade.FAILED, "ENERGY_ERROR")),
        ({"error_flags": "t"}, (Grade.OK, "METER_GOOD")),
    ],
)
def test_the_meter_state_is_graded(changes: dict[str, object], expected: tuple[Grade, str]) -> None:
    assert of(grade(end=shown(ends(**changes), number=8)), "meter_state") == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"time_state": "U"}, (Grade.UNKNOWN, "CLOCK_UNKNOWN")),
        ({"time_state": "I"}, (Grade.WEAK, "CLOCK_NOT_SYNCHRONISED")),
        ({"time_state": "R"}, (Grade.WEAK, "CLOCK_NOT_SYNCHRONISED")),
        ({"time_state": "X"}, (Grade.UNKNOWN, "NO_TIME")),
        ({"error_flags": "t"}, (Grade.FAILED, "TIME_ERROR")),
        ({"at_ms": END + 2_000}, (Grade.OK, "CLOCK_SYNCHRONISED")),
        ({"at_ms": END + 2_001}, (Grade.FAILED, "TIME_OFF")),
        ({"at_ms": END + 2_001, "time_state": "I"}, (Grade.UNKNOWN, "TIME_OFF_UNSYNCHRONISED")),
        ({"at_ms": START - 1}, (Grade.FAILED, "TIME_BACKWARDS")),
    ],
)
def test_a_valid_signature_under_a_wrong_clock_is_not_usable(
    changes: dict[str, object], expected: tuple[Grade, str]
) -> None:
    assert of(grade(end=shown(ends(**changes), number=8)), "time") == expected


def test_the_register_is_graded() -> None:
    back = grade(end=shown(ends(energy_milliwh=900_000), number=8))
    assert of(back, "register") == (Grade.FAILED, "REGISTER_BACKWARDS")
    assert back.energy_milliwh is None
    other = grade(end=shown(ends(obis=EXPORT_TOTAL), number=8))
    assert of(other, "register") == (Grade.UNKNOWN, "NO_SUCH_REGISTER")


def test_export_is_read_from_its_own_register() -> None:
    begin = shown(begins(), begins(obis=EXPORT_TOTAL, energy_milliwh=0))
    end = shown(ends(), ends(obis=EXPORT_TOTAL, energy_milliwh=5_000_000), number=8)
    assert grade(begin, end).energy_milliwh == 7_000_000
    assert grade(begin, end, obis=EXPORT_TOTAL).energy_milliwh == 5_000_000


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("PROVES", Grade.OK), ("FAILED", Grade.FAILED), ("PROVES_NOTHING", Grade.UNKNOWN)],
)
def test_closure_is_graded(verdict: str, expected: Grade) -> None:
    closed = msgspec.structs.replace(CLOSED, verdict=ClosureVerdict(verdict))
    assert grade(closure=closed).of("closure").grade is expected
    assert of(grade(closure=None), "closure") == (Grade.UNKNOWN, "NO_CLOSURE")


def test_completeness_is_graded_by_the_share_that_is_missing() -> None:
    assert of(grade(missing_ppm=None), "completeness") == (Grade.UNKNOWN, "NO_SAMPLES")
    assert of(grade(missing_ppm=10, max_missing_ppm=10), "completeness") == (Grade.WEAK, "SAMPLES_MISSING")
    assert of(grade(missing_ppm=11, max_missing_ppm=10), "completeness") == (Grade.FAILED, "TOO_FEW_SAMPLES")


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.PARTIAL, Grade.WEAK),
        (Verdict.FAILED, Grade.FAILED),
        (Verdict.UNPROVABLE, Grade.UNKNOWN),
        (Verdict.INFORMATIVE, Grade.OK),
        (None, Grade.UNKNOWN),
    ],
)
def test_delivery_is_graded(verdict: Verdict | None, expected: Grade) -> None:
    assert grade(delivery=verdict).of("delivery").grade is expected


def test_the_worst_aspect_decides() -> None:
    assert grade(missing_ppm=None).overall is Grade.UNKNOWN
    assert grade(missing_ppm=None, delivery=Verdict.FAILED).overall is Grade.FAILED
    assert grade(delivery=Verdict.PARTIAL).overall is Grade.WEAK


def test_an_aspect_that_does_not_exist_has_no_finding() -> None:
    with pytest.raises(KeyError):
        grade().of("weather")
