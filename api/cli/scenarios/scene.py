"""What every scenario is made of: a place, its cars, one way to ask for a service, and offline verification at the end.

A scenario is played like the demo day: a real service process, mTLS and statement keys for every party, stations over
OCPP 2.1, meters that sign, a virtual clock. Simulated power does not waver here, so that every figure of a
scenario's page can be worked out by hand and is met exactly.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from api.cli.demo import cast, props, story
from api.cli.demo.report import Report
from api.cli.demo.stage import StageClock, opened
from api.cli.demo.story import Play
from api.execution.simulator.demand import Demand, DemandStep, ScriptedDemand
from api.execution.simulator.evse import EvseConfig, Kind, Mode
from api.execution.simulator.evse import Service as Told
from api.execution.simulator.frequency import Frequency, Steady
from api.verification import bundle as bundles
from api.verification.bundle_policy import policy_of
from api.verification.report import Exit
from ledger.clock import SystemClock
from ledger.delivery.baselines import BaselineInputs
from ledger.records.contracts import BaselineMethod, ContractKind, Scoring, ServiceTerms
from ledger.records.parties import DelegationGiven
from ledger.records.requests import Answer, RequestRevised
from ledger.records.services import Direction, Params, Service
from ledger.records.sites import CurrentKind
from pki import ceremony

SITE_CONTRACT: Final = "fsc-site"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request for a service, from the question to the proof."""

    fsr_id: str
    params: Params
    start_at_ms: int
    end_at_ms: int
    resolution_ms: int
    method: BaselineMethod
    inputs: BaselineInputs | None = None
    fsc_ids: tuple[str, ...] = (SITE_CONTRACT,)
    is_downward: bool = False
    """Whether what is offered is more import, or both directions."""
    offered_var: int = 0
    """Reactive power that each EVSE offers, where that is what is asked for."""
    step_ms: int = 300_000
    """How far stations move at a time while it runs."""

    def text(self, place: cast.Place, now_ms: int, **changes: Any) -> Any:
        """The request's text, with deadlines five minutes from now."""
        deadline_ms = min(now_ms + 5 * cast.MINUTE_MS, self.start_at_ms)
        said: dict[str, Any] = {
            "fsc_ids": self.fsc_ids,
            "start_at_ms": self.start_at_ms,
            "end_at_ms": self.end_at_ms,
            "respond_by_ms": deadline_ms,
            "opt_deadline_ms": deadline_ms,
            "resolution_ms": self.resolution_ms,
            "site_id": place.site_id,
        }
        return props.request(changes.pop("fsr_id", self.fsr_id), changes.pop("params", self.params), **said | changes)


Acts = Callable[["Scene"], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One application: where, with which cars, and what happens. Its figures stand in `docs/scenarios/<name>.md`."""

    name: str
    title: str
    place: cast.Place
    demands: Mapping[str, Sequence[DemandStep]]
    """What each car wants, by the name of its bay."""
    acts: Acts
    frequency: Callable[[], Frequency] = Steady


@dataclass(slots=True)
class Scene:
    """A scenario while it is played."""

    play: Play
    report: Report
    place: cast.Place
    proofs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The proof of work of each request, by its id."""

    # ------------------------------------------------------------------ what a page says, and what was found

    def figure(self, what: str, expected: int | str, found: int | str) -> None:
        """A figure of the page, as it was found."""
        self.report.expect(f"{what}: {expected}", found == expected, found)

    async def refusal(self, what: str, code: str, acting: Awaitable[Any]) -> None:
        """Somebody tries what may not be, and is told why."""
        found = await story.refused(acting)
        self.report.expect(what, found == code, found, "attack")

    def group(self, fsr_id: str) -> dict[str, Any]:
        """The figures of a proof's group."""
        figures: dict[str, Any] = msgspec.json.decode(self.proofs[fsr_id]["group"])
        return figures

    def column(self, fsr_id: str, name: str) -> list[int]:
        """One figure of every period of a proof, in order of time."""
        return [period[name] for period in self.group(fsr_id)["periods"]]

    def failed(self, fsr_id: str) -> dict[str, str]:
        """Why EVSEs did not pass the check of a request, by bay: the first code."""
        names = {bay.evse_id: bay.name for bay in self.place.bays}
        found = self.play.checked[fsr_id]["participations"]
        return {names[one["evse_id"]]: one["failed"][0] for one in found if one["overall"] != "PASS"}

    # ------------------------------------------------------------------ acts that scenarios share

    async def site_contract(self, *terms: ServiceTerms, **changes: Any) -> None:
        """The flexibility operator and the operator of the site sign one contract for all of it."""
        text = props.contract(
            SITE_CONTRACT, ContractKind.FO_CSO, terms, counterparty=cast.CSO, site_id=self.place.site_id
        )
        await story.both_sign(self.play, msgspec.structs.replace(text, **changes), cast.CSO)

    async def person_contracts(self, service: Service, max_w: int, baseline: BaselineMethod) -> None:
        """The flexibility operator and the user of every car sign one contract each, `fsc-<bay>`, for their EVSE."""
        for bay in self.place.bays:
            person = self.play.stage.party_id(bay.person)
            text = props.contract(
                f"fsc-{bay.name.lower()}",
                ContractKind.FO_EVU,
                (terms(service, max_w, baseline),),
                evu=person,
                evse_ids=(bay.evse_id,),
                site_id=self.place.site_id,
            )
            await story.both_sign(self.play, text, bay.person, subject=person)

    async def issue(self, asked: Asked, **changes: Any) -> None:
        """The flexibility operator asks; `changes` make it another text."""
        await story.issue(self.play, asked.text(self.place, self.play.stage.clock.now_ms(), **changes))

    async def answer(self, asked: Asked, parts: Mapping[str, str], offers: Mapping[str, int]) -> None:
        """The port accepts with these offers, all or part of it."""
        kind = Answer.ACCEPTED if len(offers) == len(parts) else Answer.PARTIAL
        await story.answer(
            self.play, asked.fsr_id, parts, offers, kind, down=asked.is_downward, offered_var=asked.offered_var
        )

    async def commit(
        self,
        asked: Asked,
        participants: Sequence[str],
        *,
        method: BaselineMethod | None = None,
        inputs: BaselineInputs | None = None,
    ) -> None:
        """The counterfactual is fixed before the start."""
        await story.commit_baseline(
            self.play, asked.fsr_id, list(participants), method or asked.method, inputs or asked.inputs
        )

    async def start(self, asked: Asked, started: int) -> None:
        """The start has come, and so many EVSEs execute."""
        await story.start(self.play, asked.fsr_id, asked.start_at_ms, started)

    async def reached(self, setpoint_w: int) -> None:
        """Every station follows this setpoint."""
        await self._told(f"{setpoint_w} W", len(self.place.bays), lambda one: one.setpoint_w == setpoint_w)

    async def limited(self, count: int, limit_w: int) -> None:
        """So many stations keep to this limit."""
        await self._told(f"a limit of {limit_w} W", count, lambda one: one.limit_w == limit_w)

    async def balanced(self, count: int) -> None:
        """So many stations carry a house."""
        await self._told("local balancing", count, lambda one: one.mode is Mode.BALANCE)

    async def _told(self, what: str, count: int, holds: Callable[[Told], bool]) -> None:
        """A virtual minute is shorter than the way of a message: so many stations have been told something."""
        evses = [evse for one in self.play.stage.fleet.stations.values() for evse in one.plant.evses.values()]

        async def all_told() -> bool:
            return sum(evse.service is not None and holds(evse.service) for evse in evses) == count

        await self.play.stage.until(f"{what} at {count} stations", all_told)

    async def count(self, fsr_id: str, status: str) -> int:
        """How many participations of a request have that status."""
        view = await self.play.ask(cast.CSO, f"/v1/requests/{fsr_id}")
        return sum(part["status"] == status for part in view["participations"])

    def given(self, delegation: DelegationGiven, grantor: str, delegate: str) -> DelegationGiven:
        """A delegation from one person to another."""
        stage = self.play.stage
        return msgspec.structs.replace(delegation, evu=stage.party_id(grantor), evu_delegate=stage.party_id(delegate))

    async def revise(self, asked: Asked) -> None:
        """The flexibility operator asks for the same again, as a revision."""
        text = asked.text(self.place, self.play.stage.clock.now_ms())
        record = RequestRevised(
            fsr_id=asked.fsr_id,
            revision=2,
            params=text.params,
            respond_by_ms=text.respond_by_ms,
            opt_deadline_ms=text.opt_deadline_ms,
            start_at_ms=text.start_at_ms,
            end_at_ms=text.end_at_ms,
            evidence=text.evidence,
        )
        await self.play.post(cast.FO, f"/v1/requests/{asked.fsr_id}/revision", record, f"fsr/{asked.fsr_id}")

    async def run(self, asked: Asked, started: int) -> dict[str, Any]:
        """Stations do it; the port proves it."""
        await self.start(asked, started)
        return await self.finish(asked, started)

    async def finish(self, asked: Asked, started: int) -> dict[str, Any]:
        """Stations live on to its end; the port proves it."""
        await story.finish(self.play, asked.fsr_id, asked.end_at_ms, started, step_ms=asked.step_ms)
        await self.play.goto(asked.end_at_ms + cast.MINUTE_MS)
        proof = await story.prove(self.play, asked.fsr_id)
        self.proofs[asked.fsr_id] = proof
        return proof


def bays(
    count: int,
    *,
    kind: CurrentKind,
    services: tuple[Service, ...],
    max_charge_w: int = 22_000,
    max_discharge_w: int = 0,
) -> tuple[cast.Bay, ...]:
    """`count` equal EVSEs, E1, E2, ..."""
    simulated = Kind.DC if kind is CurrentKind.DC else Kind.AC
    return tuple(
        cast.Bay(
            name=f"E{number}",
            config=EvseConfig(
                evse_id=number, kind=simulated, max_charge_w=max_charge_w, max_discharge_w=max_discharge_w
            ),
            kind=kind,
            services=services,
        )
        for number in range(1, count + 1)
    )


def terms(
    service: Service,
    max_w: int,
    baseline: BaselineMethod,
    *,
    direction: Direction = Direction.UP,
    tolerance_w: int = 0,
    delivered_min_ppm: int = 900_000,
    max_var: int = 0,
) -> ServiceTerms:
    """Terms at the prices of the demo day: 0.30 EUR a kWh delivered, 0.45 EUR a kWh missing."""
    return msgspec.structs.replace(
        cast.terms(Service.CONGESTION, max_w, tolerance_w=tolerance_w, delivered_min_ppm=delivered_min_ppm),
        service=service,
        direction=direction,
        baseline=baseline,
        max_var=max_var,
        scoring=Scoring.GROUP,
    )


async def perform(scenario: Scenario, folder: Path, report: Report) -> None:
    """The scenario was played and everything that it left verifies offline; `report` says what held.

    Raises StageBroken if the machinery fails, and AssertionError for an act that was not refused.
    """
    real_ms = SystemClock().now_ms()
    place = scenario.place
    made = ceremony.perform(cast.ceremony(place), tls_now_ms=real_ms, signing_now_ms=cast.SIGNING_START_MS)
    clock = StageClock(folder / "clock", cast.at(8, 30))
    demands: dict[str, Demand] = {name: ScriptedDemand(steps) for name, steps in scenario.demands.items()}
    report.scene("the stage", f"{scenario.title}: one server process, {len(place.bays)} stations over WebSocket/TLS")
    async with opened(
        folder,
        clock=clock,
        made=made,
        frequency=scenario.frequency(),
        demands=demands,
        system_clock=SystemClock(),
        place=place,
    ) as stage:
        await stage.fleet.connect()
        scene = Scene(Play(stage, report.line), report, place)
        await scene.play.goto(cast.at(9))
        await story.open_site(scene.play)
        await scenario.acts(scene)
        await _verify(scene)


async def _verify(scene: Scene) -> None:
    """An auditor downloads one bundle a request and verifies it offline, under roots of the first."""
    auditor = scene.play.stage.clients[cast.AUD]
    policy = None
    for fsr_id in scene.proofs:
        opened_bundle = bundles.open_bundle(await auditor.get_bytes(f"/v1/requests/{fsr_id}/record"))
        policy = policy or policy_of(opened_bundle)
        found = bundles.verify(opened_bundle, anchors=policy)
        bad = sorted({line.check for line in found.lines if line.status.name in ("REFUTED", "INDETERMINATE")})
        scene.report.expect(
            f"bundle of {fsr_id}", found.outcome is Exit.VERIFIED, found.outcome.name + " ".join(bad), "verified"
        )
