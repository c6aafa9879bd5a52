"""The end of a log: one last entry, one last checkpoint, cosigned; reading goes on, nothing is written any longer."""

import asyncio
from dataclasses import dataclass
from typing import Final

from api.flows.service import Service
from ledger.errors import LedgerError
from ledger.records.log import FreezeReason, LogFrozen
from ledger.tlog import checkpoint, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import QuorumMissing

END_STREAM: Final = "log/end"
END_JTI: Final = "the-log-ends-here"
ROUNDS: Final = 3
PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Ended:
    """The last checkpoint; `quorum` is what is missing of the witnesses' quorum, None where enough cosigned."""

    signed: bytes
    checkpoint: Checkpoint
    was_frozen: bool
    quorum: LedgerError | None


async def freeze(service: Service, reason: FreezeReason) -> Ended:
    """The log has ended. Done again, it only asks again those witnesses whose cosignature is missing.

    Raises WitnessAhead or WitnessDiffers, having written nothing, if a witness remembers more than this log: its last
    checkpoint would not be the log's end. Raises what appending and publishing raise.
    """
    was_frozen = service.desk.state.frozen_at is not None
    await service.witnessing.publish()
    await service.witnessing.round()
    if not was_frozen:
        await service.desk.say(LogFrozen(reason=reason), END_STREAM, jti=END_JTI)
        # From here on nothing is appended, by nobody, whatever becomes of the checkpoint; doing it again goes on.
        await service.witnessing.publish()
    missing: LedgerError | None = None
    for turn in range(ROUNDS):
        if turn:
            await asyncio.sleep(PAUSE_S)
        await service.witnessing.round()
        missing = _missing(service)
        if missing is None:
            break
    signed = service.publisher.latest()
    return Ended(signed, checkpoint.parse(note.parse_text(signed)), was_frozen, missing)


def _missing(service: Service) -> LedgerError | None:
    asked = service.witnessing.policy
    if asked is None:
        return None
    keys = [*service.engines.log_keys.verifiers, *asked.verifiers]
    opened = checkpoint.open_checkpoint(service.publisher.latest(), service.settings.origin, keys)
    try:
        asked.require_quorum(opened)
    except QuorumMissing as missing:
        return missing
    return None
