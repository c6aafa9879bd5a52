"""What a party says of a request by a few words: abort, agree, dispute, resolve."""

from collections.abc import Sequence
from pathlib import Path

from api.cli.party_acts import state_record
from api.cli.words import one_of
from ledger.records.requests import CancelReason, RequestAborted
from ledger.records.work import CounterResult, DisputeReason, DisputeResolved, Resolution, WorkCountered


def abort(party_file: Path, fsr_id: str, *, reason: str, json: bool) -> int:
    """What runs ends now."""
    return state_record(party_file, RequestAborted(fsr_id=fsr_id, reason=one_of(CancelReason, reason)), json=json)


def agree(party_file: Path, fsr_id: str, pow_id: str, *, json: bool) -> int:
    """The flexibility operator has nothing against the proof."""
    record = WorkCountered(fsr_id=fsr_id, pow_id=pow_id, result=CounterResult.AGREED)
    return state_record(party_file, record, json=json)


def dispute(party_file: Path, fsr_id: str, pow_id: str, *, reason: str, contested: Sequence[str], json: bool) -> int:
    """The flexibility operator contests the proof, as a whole or by participation."""
    record = WorkCountered(
        fsr_id=fsr_id,
        pow_id=pow_id,
        result=CounterResult.DISPUTED,
        reason=one_of(DisputeReason, reason),
        contested=tuple(contested),
    )
    return state_record(party_file, record, json=json)


def resolve(party_file: Path, fsr_id: str, pow_id: str, *, resolution: str, ground: str, json: bool) -> int:
    """One side's signature under the end of a dispute."""
    record = DisputeResolved(fsr_id=fsr_id, pow_id=pow_id, resolution=one_of(Resolution, resolution), ground=ground)
    return state_record(party_file, record, json=json)
