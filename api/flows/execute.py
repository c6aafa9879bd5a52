"""From an accepted request to chargers that do it, to records of what they did: one task a request.

The adapter tells facts; each is a record before the next step is taken, so a rule that refuses stops the dispatch.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, NamedTuple

import structlog
from msgspec import UNSET, UnsetType

from api.errors import ApiError
from api.execution import plan
from api.execution.adapter import Adapter
from api.execution.evidence import EvseEvidence, ExecutionFact
from api.execution.port import EvseAddress
from api.execution.request import AcceptedRequest, Adopted
from api.execution.services import Participant, Step
from api.execution.waiting import SleepUntil
from api.flows import check, dispatch, recover
from api.flows.ability import ASK_S, Ability, ability
from api.flows.car import CarWatch
from api.flows.desk import Desk, Opened
from api.flows.embedded import EmbeddedWatch
from api.flows.memory import Memory
from api.verification import work
from api.verification.station_root import open_for
from ledger.delivery import samples
from ledger.errors import LedgerError
from ledger.records.contracts import BaselineMethod
from ledger.records.credentials import CheckPurpose, CheckRecorded
from ledger.records.evidence import BaselineCommitted, SamplesCommitted
from ledger.records.execution import Cause, ExecutionKind, ExecutionNoted
from ledger.records.marks import Category
from ledger.records.opt import OptDecided
from ledger.records.record import Part
from ledger.records.requests import Answer, RequestAborted, RequestAnswered, SetpointBatch
from ledger.records.sites import CurrentKind, EvLimits, Evse, SessionMirrored
from ledger.records.work import Period, ServiceRecorded
from ledger.rules.rank import outranks
from ledger.rules.request_state import RequestState
from ledger.rules.starts import starts_at_ms
from ledger.store.seat import SeatTaken
from pki.errors import PkiError

DSR_PERIOD_MS: Final = 900_000

HOLDING: Final = frozenset({ExecutionKind.STARTED})
LETTING_GO: Final = frozenset({ExecutionKind.ABORTED, ExecutionKind.UNABLE})
"""Facts after which a request holds its EVSE no longer, though its window goes on."""

log = structlog.get_logger()


class Kept(NamedTuple):
    """A sample body, its interval, and what the station signed of it, not yet proven."""

    body: bytes
    dt_ms: int
    station_jws: str | None


class Executions:
    """Every request that is waiting for its start or running."""

    def __init__(self, desk: Desk, memory: Memory, adapter: Adapter | None, sleep_until_ms: SleepUntil) -> None:
        """Without an adapter no station is connected here: nothing is executed; with one, from `begin` on."""
        self._desk = desk
        self._memory = memory
        self._adapter = adapter
        self._sleep_until_ms = sleep_until_ms
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._notes: set[asyncio.Task[None]] = set()
        self._watches: tuple[EmbeddedWatch | CarWatch, ...] = ()
        self._is_serving = False
        desk.listen(self.heard)

    def heard(self, opened: Opened, _stream: str, _rec_ms: int) -> None:
        """What was said may be the start, the end or the moving part of an execution."""
        said = opened.whole
        if isinstance(said, RequestAnswered) and said.answer is not Answer.REJECTED:
            self.schedule(said.fsr_id)
        elif isinstance(said, CheckRecorded) and said.purpose is CheckPurpose.PRE_FSR:
            if self._desk.state.request(said.fsr_id).is_mandatory:
                self.schedule(said.fsr_id)
        elif self._adapter is None:
            return
        elif isinstance(said, ExecutionNoted) and said.kind in (*HOLDING, *LETTING_GO):
            self._note_rank(said)
        elif isinstance(said, RequestAborted) and said.fsr_id in self._adapter.running():
            self._adapter.abort(said.fsr_id, said.reason.value)
        elif isinstance(said, OptDecided) and said.fsr_id in self._adapter.running():
            self._let_go(said)
        elif isinstance(said, SetpointBatch) and said.fsr_id in self._adapter.running():
            self._adapter.feed(said.fsr_id, self._moved_steps(said))

    def _let_go(self, said: OptDecided) -> None:
        """Who leaves while it executes is commanded no further; the others go on."""
        request = self._desk.state.request(said.fsr_id)
        known = self._memory.participations(said.fsr_id)
        part = request.participations.get(said.participation)
        if self._adapter is None or part is None or part.left is None or said.participation not in known:
            return
        evse = self._evse(request, said.participation)
        address = EvseAddress(station_id=evse.station_id, evse_id=evse.connector)
        self._adapter.release(said.fsr_id, address, recover.OPTED_OUT)

    def _note_rank(self, said: ExecutionNoted) -> None:
        """What a request of higher rank takes from the others at its EVSE, and what it gives back, is on record."""
        holder = self._desk.state.request(said.fsr_id)
        evse_id = self._memory.participations(said.fsr_id).get(said.participation)
        for fsr_id in self._adapter.running() if self._adapter is not None and evse_id is not None else ():
            request = self._desk.state.request(fsr_id)
            for pid, known in self._memory.participations(fsr_id).items():
                part = request.participations.get(pid)
                if known == evse_id and part is not None and outranks(holder, request, part):
                    self._tell_rank(said, holder, request, pid)

    def _tell_rank(self, said: ExecutionNoted, holder: RequestState, request: RequestState, pid: str) -> None:
        part = request.participations[pid]
        is_held = part.is_superseded(self._desk.clock.now_ms())
        if not part.has_started or part.is_over or is_held is (said.kind in HOLDING):
            return
        told: dict[str, Any] = {"by_fsr_id": holder.fsr_id, "until_ms": holder.issued.end_at_ms}
        noted = ExecutionNoted(
            n_id=f"n-{secrets.token_hex(8)}",
            fsr_id=request.fsr_id,
            participation=pid,
            kind=ExecutionKind.RESUMED if is_held else ExecutionKind.SUPERSEDED,
            cause=None if is_held or not holder.is_mandatory else Cause.MANDATORY_LIMIT,
            at_ms=self._desk.clock.now_ms(),
            **({} if is_held else told),
        )
        saying = self._desk.say(noted, f"fsr/{request.fsr_id}", subject_of=self._person_of(pid))
        task = asyncio.create_task(self._watched(request.fsr_id, saying))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def abilities(self, request: RequestState, evse_ids: Sequence[str]) -> dict[str, Ability]:
        """What the stations of these EVSEs say of the service; UNKNOWN for who does not say it soon."""
        site = self._desk.state.site(request.issued.site_id).configured
        places = {
            evse.evse_id: EvseAddress(station_id=evse.station_id, evse_id=evse.connector)
            for evse in site.evses
            if evse.evse_id in evse_ids
        }
        said = {} if self._adapter is None else await self._adapter.capabilities(tuple(places.values()), ASK_S)
        return {name: ability(request.service, said.get(place)) for name, place in places.items()}

    def schedule(self, fsr_id: str) -> None:
        """From now on the request is executed when its time comes. Asking twice changes nothing."""
        if self._adapter is not None and self._is_serving and (fsr_id not in self._tasks or self._tasks[fsr_id].done()):
            self._tasks[fsr_id] = asyncio.create_task(self._watched(fsr_id, self._execute(fsr_id)))

    def begin(self) -> None:
        """Stations are served here from now on: what is on record and not done is done here."""
        self._is_serving = True
        self._resume()

    def let_go(self) -> None:
        """From now on nothing that happens to a run is put on record here: another replica may run it."""
        self._is_serving = False

    async def stop(self) -> None:
        """Nothing runs any longer; stations fall back by themselves when their profiles end."""
        self._is_serving = False
        tasks = [*self._tasks.values(), *self._notes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def _resume(self) -> None:
        """After a restart: requests that have not begun are scheduled again, and broken-off runs are taken over."""
        now_ms = self._desk.clock.now_ms()
        for request in self._desk.state.requests_until(now_ms - recover.RECOVER_WITHIN_MS):
            if recover.is_broken_off(request, now_ms):
                going_on = self._watched(request.fsr_id, self._go_on(request.fsr_id))
                self._tasks[request.fsr_id] = asyncio.create_task(going_on)
            elif now_ms < request.issued.end_at_ms and request.bound() and not request.has_started:
                self.schedule(request.fsr_id)

    def closes(self, *watches: EmbeddedWatch | CarWatch) -> None:
        """What watches the same stations ends with the executions."""
        self._watches = watches

    async def close(self) -> None:
        """As `stop`, and nothing is watched any longer either."""
        for watch in self._watches:
            await watch.close()
        await self.stop()

    async def _watched(self, fsr_id: str, running: Coroutine[Any, Any, object]) -> None:
        try:
            await running
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 -- one request's failure must not end the others'; it is on record
            log.error("execution failed", fsr_id=fsr_id, error=type(error).__name__, code=getattr(error, "code", ""))

    async def _execute(self, fsr_id: str) -> None:
        if self._adapter is None:
            return
        request = self._desk.state.request(fsr_id)
        await self._require_baseline(request)
        await self._sleep_until_ms(request.issued.start_at_ms)
        await self._check_again(fsr_id)
        await self._run(self._desk.state.request(fsr_id), None)

    async def _go_on(self, fsr_id: str) -> None:
        """A run was broken off by the end of this service: its stations are asked for what they did meanwhile."""
        request = self._desk.state.request(fsr_id)
        await self._run(request, recover.adopted(request))

    async def _run(self, request: RequestState, adopted: dict[str, Adopted] | None) -> None:
        participants = self._participants(request)
        if not participants or self._adapter is None:
            return
        by_ref = {participant.ref: participant for participant in participants}
        found = await self._adapter.run(
            AcceptedRequest(
                fsr_id=request.fsr_id,
                service=dispatch.service(request, participants),
                participants=tuple(participants),
                start_at_ms=request.issued.start_at_ms,
                end_at_ms=request.issued.end_at_ms,
                evidence=dispatch.evidence_rule(request),
                further=tuple(step for batch in request.setpoints for step in self._moved_steps(batch)),
                adopted=adopted,
                dead_man_s=dispatch.dead_man_s(request),
                renewed=True,
            ),
            self._record,
        )
        now = self._desk.state.request(request.fsr_id)
        for evidence in found.evidence:
            # Of who never started there is nothing to prove: that it was told, and what it answered, is on record.
            if now.participations[evidence.participation_ref].has_started:
                await self._keep(request, evidence, by_ref[evidence.participation_ref])

    async def _require_baseline(self, request: RequestState) -> None:
        """Under a mandate there is no contract to name a method: the cap itself is what is kept to."""
        if not request.is_mandatory or request.baseline is not None:
            return
        document = work.baseline_document(BaselineMethod.LIMIT, None)
        self._desk.engines.store.put_evidence(work.digest(document), "attachment", document)
        await self._desk.say(
            BaselineCommitted(
                baseline_id=f"baseline-{secrets.token_hex(8)}",
                fsr_id=request.fsr_id,
                method=BaselineMethod.LIMIT,
                version=1,
                participants=tuple(sorted(request.bound())),
                inputs_sha256=work.digest(document),
            ),
            f"fsr/{request.fsr_id}",
        )

    async def _check_again(self, fsr_id: str) -> None:
        """The check is repeated at the start: what expired or was revoked since then does not start."""
        request = self._desk.state.request(fsr_id)
        known = self._memory.participations(fsr_id)
        evse_ids = [known[pid] for pid in sorted(request.bound()) if pid in known]
        if evse_ids:
            await check.run(self._desk, self._memory, fsr_id, evse_ids, CheckPurpose.PRE_ACTIVATION)

    def _participants(self, request: RequestState) -> list[Participant]:
        site = self._desk.state.site(request.issued.site_id)
        known = self._memory.participations(request.fsr_id)
        found = []
        for pid in sorted(request.taking_part(self._desk.clock.now_ms())):
            part = request.participations[pid]
            evse = site.executed(known[pid], request.issued.start_at_ms) if pid in known else None
            if evse is not None and (part.has_passed or request.is_mandatory):
                offered_w = part.offer.offered_w if part.offer else part.subject.amount_w
                session = self._memory.session_at(request.issued.site_id, known[pid], request.issued.start_at_ms)
                start_ms = starts_at_ms(request.issued, pid)
                found.append(_participant(pid, evse, session, offered_w, start_ms))
        return found

    async def _record(self, fact: ExecutionFact) -> None:
        if not self._is_serving:
            raise SeatTaken("stations are no longer served here")
        noted = ExecutionNoted(
            n_id=f"n-{secrets.token_hex(8)}",
            fsr_id=fact.fsr_id,
            participation=fact.participation_ref,
            kind=ExecutionKind(fact.kind.value),
            cause=recover.cause_of(fact),
            at_ms=fact.at_ms,
        )
        await self._desk.say(noted, f"fsr/{fact.fsr_id}", subject_of=self._person_of(fact.participation_ref))

    async def _keep(self, request: RequestState, evidence: EvseEvidence, participant: Participant) -> None:
        """The samples go to the vault; their existence, and the service record made of them, to the log."""
        kept = (
            Kept(evidence.quiet_before, dispatch.QUIET_MS, evidence.quiet_jws),
            Kept(evidence.samples, evidence.interval_ms, evidence.samples_jws),
        )
        bodies = [one for one in kept if one.body]
        if not bodies:
            return
        evse = self._evse(request, evidence.participation_ref)
        committed = [self._commitment(request, evidence, evse, seq, one) for seq, one in enumerate(bodies, start=1)]
        person_of = self._person_of(evidence.participation_ref)
        for record in committed:
            await self._desk.say(record, f"fsr/{request.fsr_id}", subject_of=person_of)
        batch_ids = tuple(record.batch_id for record in committed)
        recorded = _service_record(request, evidence, evse, participant, batch_ids)
        await self._desk.say(recorded, f"fsr/{request.fsr_id}", subject_of=person_of)

    def _commitment(
        self, request: RequestState, evidence: EvseEvidence, evse: Evse, seq: int, kept: Kept
    ) -> SamplesCommitted:
        """The body is in the vault when this returns; the meter's signed texts go with the first batch.

        What the station signed goes with the body that it proves, and nowhere else.
        """
        batch_id, body = f"batch-{secrets.token_hex(8)}", kept.body
        person = self._memory.person_of(evidence.participation_ref)
        body_sha256 = self._desk.engines.vault.attach(body, subject=person, category=Category.METER, retention="P2Y")
        return SamplesCommitted(
            batch_id=batch_id,
            fsr_id=request.fsr_id,
            participation=evidence.participation_ref,
            seq=seq,
            n=samples.count(body),
            dt_ms=kept.dt_ms,
            root=samples.root(body).hex(),
            body_sha256=body_sha256,
            meter_key_spki_sha256=evse.meter.key_spki_sha256,
            ocmf_start=evidence.ocmf_start if seq == 1 and evidence.ocmf_start else UNSET,
            ocmf_end=evidence.ocmf_end if seq == 1 and evidence.ocmf_end else UNSET,
            schema=samples.schema_of(body),
            station_jws=self._proven(request, evse, batch_id, kept),
        )

    def _proven(self, request: RequestState, evse: Evse, batch_id: str, kept: Kept) -> str | UnsetType:
        """The station's words, if they prove the body its own; else they are no evidence, and only its line is."""
        if kept.station_jws is None:
            return UNSET
        now_ms = self._desk.clock.now_ms()
        try:
            open_for(
                kept.station_jws,
                kept.body,
                batch_id=batch_id,
                evse=evse,
                issued=request.issued,
                station=self._desk.directory.station(evse.key_spki_sha256, now_ms),
                at_ms=now_ms,
                before=self._memory.batch_with,
            )
        except (ApiError, LedgerError, PkiError) as refused:
            log.warning("signed sample root refused", fsr_id=request.fsr_id, code=refused.code)
            return UNSET
        return kept.station_jws

    def _evse(self, request: RequestState, pid: str) -> Evse:
        evse_id = self._memory.participations(request.fsr_id)[pid]
        evse = self._desk.state.site(request.issued.site_id).executed(evse_id, request.issued.start_at_ms)
        assert evse is not None  # noqa: S101 -- it was told what to do
        return evse

    def _person_of(self, pid: str) -> Callable[[Part, str], str | None]:
        return lambda _part, _name: self._memory.person_of(pid)

    def _moved_steps(self, batch: SetpointBatch) -> Sequence[Step]:
        participants = self._participants(self._desk.state.request(batch.fsr_id))
        return plan.schedule(dispatch.moved(batch), participants) if participants else ()


def _participant(
    pid: str, evse: Evse, session: SessionMirrored | None, offered_w: int, starts_at_ms: int
) -> Participant:
    """In AC the inverter is the car's, and so is its reactive power."""
    absorb_var, inject_var = evse.max_absorb_var, evse.max_inject_var
    if evse.kind is CurrentKind.AC:
        car = session.ev if session is not None and isinstance(session.ev, EvLimits) else EvLimits()
        absorb_var, inject_var = car.max_absorb_var or 0, car.max_inject_var or 0
    return Participant(
        ref=pid,
        evse=EvseAddress(station_id=evse.station_id, evse_id=evse.connector),
        max_charge_w=evse.max_charge_w,
        max_discharge_w=evse.max_discharge_w,
        offered_w=offered_w,
        max_inject_var=inject_var,
        max_absorb_var=absorb_var,
        starts_at_ms=starts_at_ms,
    )


def _service_record(
    request: RequestState,
    evidence: EvseEvidence,
    evse: Evse,
    participant: Participant,
    batch_ids: tuple[str, ...],
) -> ServiceRecorded:
    decoded = [one for body in (evidence.quiet_before, evidence.samples) if body for one in samples.decode(body)]
    issued = request.issued
    hold_ms = work.hold_ms(issued)
    periods = []
    for start in range(issued.start_at_ms, issued.end_at_ms, DSR_PERIOD_MS):
        end = min(start + DSR_PERIOD_MS, issued.end_at_ms)
        part = samples.cover(decoded, start, end, max_hold_ms=hold_ms)
        if part.covered_ms:
            mean_w = samples.mean_power_w(decoded, start, end, max_hold_ms=hold_ms)
            periods.append(
                Period(start_at_ms=start, duration_ms=end - start, mean_w=mean_w, requested_w=participant.offered_w)
            )
    imported, exported = samples.energies_milliwh(decoded, issued.start_at_ms, issued.end_at_ms, max_hold_ms=hold_ms)
    return ServiceRecorded(
        dsr_id=f"dsr-{secrets.token_hex(8)}",
        fsr_id=request.fsr_id,
        participation=evidence.participation_ref,
        batch_ids=batch_ids,
        evse_id=evse.evse_id,
        periods=tuple(periods),
        energy_import_milliwh=imported,
        energy_export_milliwh=exported,
    )
