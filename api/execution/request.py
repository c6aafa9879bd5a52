"""What the adapter is handed: one accepted request, how patient to be, and where facts go."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from api.execution.evidence import EvidenceRule, ExecutionFact
from api.execution.services import Participant, Service, Step

Record = Callable[[ExecutionFact], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What the record says of a participation whose run was broken off, by the end of this service for one.

    `has_started`: STARTED is on record; `is_closed`: that it is over is on record as well, at `ended_at_ms` where it
    ended early, so only its evidence is missing.
    """

    has_started: bool
    is_closed: bool = False
    ended_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedRequest:
    """An accepted flexibility request, as far as execution needs to know it.

    `dead_man_s`: how long an EVSE stays in the service without a newer command; by default until the end. With
    `renewed`, what is followed is said again before half of it has passed, for as long as we live. `further`: steps
    that were ordered since it was accepted. `adopted`: this run goes on where another was broken off, with these
    participations (by ref) and no other.
    """

    fsr_id: str
    service: Service
    participants: tuple[Participant, ...]
    start_at_ms: int
    end_at_ms: int
    evidence: EvidenceRule = field(default_factory=EvidenceRule)
    dead_man_s: int | None = None
    further: tuple[Step, ...] = ()
    adopted: Mapping[str, Adopted] | None = None
    renewed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for what: `*_s` are real seconds, `*_ms` are milliseconds of the injected clock.

    `back_off_ms` is at least one time-out of the port, because stations answer in order: a command sent sooner would
    wait behind the one that was not answered; up to `jitter_ms` more are added, so that many stations are not asked
    again in one moment. `settle_ms` is how long an EVSE may take to reach a new value. `return_s` is how long a run
    that was broken off waits for stations to come back, before it asks for their records.
    """

    retries: int = 2
    back_off_ms: int = 30_000
    jitter_ms: int = 5_000
    settle_ms: int = 60_000
    after_end_ms: int = 900_000
    reading_s: float = 10.0
    log_s: float = 30.0
    return_s: float = 300.0
