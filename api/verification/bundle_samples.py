"""Sample bodies and signed meter values: what was measured is what was committed, and how far it carries."""

import re
from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives import serialization

from api.verification import station_sequence, work
from api.verification.bundle_context import Context
from api.verification.bundle_errors import EvidenceAbsent, MeterRefused, RecomputedOther
from api.verification.bundle_format import sha256
from api.verification.bundle_statements import Told
from api.verification.report import Status
from api.verification.station_root import open_for
from ledger.delivery import grading, samples, station_root
from ledger.delivery.grading import Grade, KeyBinding, Shown, Trust, Window
from ledger.delivery.ocmf import VerifiedOcmf, open_ocmf
from ledger.delivery.readings import Reading
from ledger.delivery.samples import AnySample, Closure
from ledger.errors import LedgerError
from ledger.records.evidence import SamplesCommitted
from ledger.records.record import Record
from ledger.records.sites import Evse

CLOCK_TOLERANCE_MS: Final = 60_000
"""How far a meter's reading may lie from the service's start or end before its time is called off."""
FOREVER_MS: Final = 2**53 - 1
GRADE_CODE: Final = "verify/evidence-graded"
BINDING_ASPECTS: Final = ("signature", "key", "register")
"""A failure here contradicts what was recorded; in the others it weakens the evidence, and is said."""

_IMPORT = re.compile(r":(1\.8\.|B[0-9]\.08\.)")
_EXPORT = re.compile(r":(2\.8\.|C[0-9]\.08\.)")


def check_samples(context: Context, _told: Told, whole: Record) -> str:
    """The body is there, has the committed root and count, and the interval that was said."""
    committed = _committed(whole)
    context.room.require(committed, "root", "body_sha256")
    body = body_of(context, committed)
    root = samples.root(body).hex()
    if root != committed.root:
        raise RecomputedOther("the samples have another root")
    if samples.schema_of(body) is not committed.schema:
        raise RecomputedOther("the samples are of another format", expected=committed.schema.value)
    count = samples.count(body)
    if count != committed.n:
        raise RecomputedOther("another number of samples", expected=committed.n, found=count)
    return f"{count} samples under the committed root"


def check_station(context: Context, told: Told, whole: Record) -> str:
    """Whether the station itself signed the root, with the key of its credential; if not, its connection vouches."""
    committed = _committed(whole)
    context.room.require(committed, "root", "body_sha256")
    if not isinstance(committed.station_jws, str):
        # An erased value and one that never was look alike; the root, erased with it, was there.
        _say(context, told, Grade.WEAK, f"samples: trust {Trust.TRANSPORT_AUTHENTICATED}")
        return "transport only: the station signed nothing of these samples"
    request = context.request_of(committed)
    evse = context.evse_of(committed.participation, request)
    known = open_for(
        committed.station_jws,
        body_of(context, committed),
        batch_id=committed.batch_id,
        evse=evse,
        issued=request.issued,
        station=context.directory.station(evse.key_spki_sha256, told.entry.rec),
        at_ms=told.entry.rec,
        before=context.station_words.get,
    )
    context.station_words[known] = committed.batch_id
    numbers = context.station_seqs.setdefault(evse.station_id, [])
    numbers.append(station_root.read(committed.station_jws).root.seq)
    _say(context, told, Grade.OK, f"samples: trust {Trust.STATION_SIGNED}")
    return "station-signed: the root is signed with the key of the station's credential"


def check_sequences(context: Context) -> None:
    """What the numbers of the stations' signed roots say, once all of them are known."""
    for station_id, numbers in sorted(context.station_seqs.items()):
        for found, words in station_sequence.judge(numbers):
            context.lines.add("evidence grade", _status(found), GRADE_CODE, words, station_id=station_id)


def body_of(context: Context, committed: SamplesCommitted) -> bytes:
    """The sample body of a batch; raises `EvidenceErased` or `EvidenceAbsent`."""
    context.room.require(committed, "body_sha256")
    return context.room.attachment(str(committed.body_sha256), "the sample body")


def check_meter(context: Context, told: Told, whole: Record) -> str:
    """The meter's values at start and end are signed with the key that the site's configuration binds; then graded."""
    committed = _committed(whole)
    request = context.request_of(committed)
    if not isinstance(committed.ocmf_start, str) and not isinstance(committed.ocmf_end, str):
        # An erased value and one that never was look alike, so the digest decides.
        context.room.require(committed, "meter_key_spki_sha256")
        _say(context, told, Grade.UNKNOWN, "signature NO_SIGNED_VALUE")
        return "no signed meter values were recorded"
    context.room.require(committed, "meter_key_spki_sha256")
    evse = context.evse_of(committed.participation, request)
    if evse.meter.key_spki_sha256 != committed.meter_key_spki_sha256:
        raise MeterRefused("the site's configuration binds another key to this meter")
    key = _meter_key(context, evse, told.entry.rec)
    bound = context.state.site(request.issued.site_id).metered(
        evse.evse_id, evse.meter.key_spki_sha256, request.issued.start_at_ms
    )
    begin, end = _open(committed.ocmf_start, key), _open(committed.ocmf_end, key)
    decoded = samples.decode(body_of(context, committed))
    found = grading.grade(
        begin,
        end,
        binding=KeyBinding(
            key_sha256=evse.meter.key_spki_sha256,
            meter_serial=evse.meter.serial,
            valid_from_ms=bound[0],
            valid_until_ms=FOREVER_MS if bound[1] is None else bound[1],
        ),
        window=Window(
            begin_at_ms=request.issued.start_at_ms,
            end_at_ms=request.issued.end_at_ms,
            tolerance_ms=CLOCK_TOLERANCE_MS,
        ),
        closure=_closure(begin, end, decoded, evse, work.hold_ms(request.issued)),
        missing_ppm=None,
        channel=_channel(context, committed),
    )
    told_of = [one for one in found.findings if one.aspect not in ("delivery", "completeness")]
    failed = [one for one in told_of if one.aspect in BINDING_ASPECTS and one.grade is Grade.FAILED]
    if failed:
        raise MeterRefused("; ".join(f"{one.aspect} {one.code}" for one in failed))
    weak = [one for one in told_of if one.grade is not Grade.OK]
    words = ", ".join(f"{one.aspect} {one.grade} {one.code}" for one in weak) or "all aspects OK"
    only_weak = all(one.grade is Grade.WEAK for one in weak)
    _say(context, told, Grade.WEAK if only_weak else Grade.UNKNOWN, f"{words}; trust {found.trust}")
    if any(one.aspect == "signature" and one.grade is Grade.UNKNOWN for one in told_of):
        return "one of the two signed values is not there; the other is the meter's own"
    return "start and end are signed with the meter's key"


def _channel(context: Context, committed: SamplesCommitted) -> Trust:
    """Whose word the samples are, besides the meter's; `check_station` has looked at them already."""
    is_signed = committed.batch_id in context.station_words.values()
    return Trust.STATION_SIGNED if is_signed else Trust.TRANSPORT_AUTHENTICATED


def _committed(whole: Record) -> SamplesCommitted:
    if not isinstance(whole, SamplesCommitted):
        raise RecomputedOther("not a commitment to samples")
    return whole


def _say(context: Context, told: Told, grade: Grade, words: str) -> None:
    """How far the values carry: a grade is no verdict on the bundle."""
    context.lines.add("evidence grade", _status(grade), GRADE_CODE, words, **told.where)


def _status(grade: Grade) -> Status:
    return Status.VERIFIED if grade in (Grade.OK, Grade.WEAK) else Status.UNDECIDED


def _open(text: object, key: bytes) -> Shown:
    if not isinstance(text, str):
        return None
    try:
        return open_ocmf(text, key)
    except LedgerError as error:
        return error


def _meter_key(context: Context, evse: Evse, at_ms: int) -> bytes:
    """DER of the meter's public key: the station's own where the two are one, else the document with its digest."""
    wanted = evse.meter.key_spki_sha256
    if wanted == evse.key_spki_sha256:
        credential = context.directory.station(wanted, at_ms)
        der = credential.public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    else:
        der = context.room.attachment(wanted, "the meter's public key")
    if sha256(der) != wanted:
        raise EvidenceAbsent("the meter's public key is another", expected=wanted)
    return der


def _closure(begin: Shown, end: Shown, decoded: Iterable[AnySample], evse: Evse, hold: int) -> Closure | None:
    """The samples' energy beside the register's, net of import and export; None where there are not two readings."""
    if not isinstance(begin, VerifiedOcmf) or not isinstance(end, VerifiedOcmf):
        return None
    first, last = _net(begin.record.readings), _net(end.record.readings)
    if first is None or last is None or first[0] >= last[0]:
        return None
    return samples.closure(
        tuple(decoded),
        first[1],
        last[1],
        evse.meter.accuracy_ppm,
        evse.meter.resolution_milliwh,
        start_at_ms=first[0],
        end_at_ms=last[0],
        max_hold_ms=hold,
    )


def _net(readings: Iterable[Reading]) -> tuple[int, int] | None:
    """(time, import less export in mWh) of one record; None where it has no import register or no time."""
    at_ms: int | None = None
    imported: int | None = None
    exported = 0
    for reading in readings:
        energy, obis = reading.energy_milliwh, reading.obis or ""
        if energy is None:
            continue
        if _IMPORT.search(obis) and imported is None:
            at_ms, imported = reading.at_ms, energy
        elif _EXPORT.search(obis):
            exported = energy
    return None if at_ms is None or imported is None else (at_ms, imported - exported)
