"""A contract rests while a party of it can sign nothing, or while no claim that it rests on is good.

Derived from the office's and the sites' entries, and from what revocation lists and clocks say; written down as entries
of the contracts, so that whoever has a contract's stream alone knows when it rested, and why. What a crash left between
a cause and its contracts is made good at the next start, and so is what no entry tells, every few minutes.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final, Self

import structlog

from api.flows import coverage
from api.flows.desk import Desk, Opened
from api.flows.memory import Memory
from ledger.errors import LedgerError
from ledger.records.contracts import ContractAccepted, ContractResumed, ContractSuspended, SuspensionCause
from ledger.records.credentials import CredentialIssued, CredentialRevoked
from ledger.records.site_changes import SiteChanged
from ledger.records.sites import ClaimRegistered, ClaimWithdrawn, InstallationLinked, SiteConfigured
from ledger.rules.contract_state import ContractState, ContractStatus
from ledger.rules.errors.absent import ContractAbsent

log = structlog.get_logger()

CHECK_S: Final = 600.0
"""How often what no entry tells is looked at: a claim that runs out, a list that came, a start after a crash."""
_SIGNED: Final = frozenset({ContractStatus.SIGNED, ContractStatus.ACTIVE, ContractStatus.SUSPENDED})
_OF_A_SITE: Final = (ClaimRegistered, InstallationLinked, ClaimWithdrawn, SiteConfigured, SiteChanged)


class Suspensions:
    """Listens to what makes contracts rest and go on, and keeps them in step."""

    def __init__(self, desk: Desk, memory: Memory) -> None:
        self._desk = desk
        self._memory = memory
        self._tasks: set[asyncio.Task[None]] = set()
        self._settling = asyncio.Lock()
        """One at a time says what it finds, so that nobody says it twice."""
        self._moved = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        desk.listen(self.heard)

    @classmethod
    async def begin(cls, desk: Desk, memory: Memory) -> Self:
        """What a crash left is made good, and from now on they are watched; `close` ends that."""
        made = cls(desk, memory)
        desk.directory.on_evidence(made._moved.set)
        await made.settle_all()
        made._watching = asyncio.create_task(made.watch(), name="suspensions")
        return made

    def heard(self, opened: Opened, _stream: str, _rec_ms: int) -> None:
        """A credential was issued or revoked, a site or its claims changed, or a contract was signed."""
        said = opened.whole
        if isinstance(said, CredentialIssued | CredentialRevoked):
            known = self._desk.state.credentials.find(said.issuer_key_sha256, said.serial)
            if known is not None and known.party is not None:
                self._soon(self.settle(known.party))
        elif isinstance(said, _OF_A_SITE):
            self._soon(self.settle_site(said.site_id))
        elif isinstance(said, ContractAccepted):
            self._soon(self._settle(lambda: self._named((said.fsc_id,))))

    async def settle(self, party: str) -> None:
        """The contracts of the party rest if it has no signing credential left, and go on if it has one again."""
        await self._settle(lambda: self._desk.state.contracts_of(party))

    async def settle_site(self, site_id: str) -> None:
        """The contracts of the site rest if their claims are lost, and go on if there are some again."""
        await self._settle(lambda: self._desk.state.contracts_at(site_id))

    async def settle_all(self) -> None:
        """Whoever is barred, and whatever the port said rests: what a crash left between a cause and a contract."""
        for party in self._desk.state.credentials.barred():
            await self.settle(party)
        await self._settle(lambda: self._named(self._desk.state.resting(self._desk.me.party)))

    async def watch(self) -> None:
        """Looks at every contract when revocation evidence moves, and now and again, while the service runs."""
        while True:
            self._moved.clear()
            try:
                await self.settle_all()
                for site in self._desk.state.sites():
                    await self.settle_site(site.site_id)
            except LedgerError as error:
                log.error("contracts not looked at", code=error.code)
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await self._moved.wait()

    async def close(self) -> None:
        """What was begun is finished, and nothing is begun any more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        while self._tasks:
            begun = tuple(self._tasks)
            await asyncio.gather(*begun, return_exceptions=True)
            # From Python 3.12 on, what is done already gives the loop no turn in which it would leave the set.
            self._tasks.difference_update(begun)

    def _soon(self, settling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(settling)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _named(self, fsc_ids: Iterable[str]) -> list[ContractState]:
        found = []
        for fsc_id in fsc_ids:
            try:
                found.append(self._desk.state.contract(fsc_id))
            except ContractAbsent:
                continue
        return found

    async def _settle(self, contracts: Callable[[], Iterable[ContractState]]) -> None:
        async with self._settling:
            for contract in tuple(contracts()):
                await asyncio.sleep(0)
                await self._bring(contract, SuspensionCause.CREDENTIAL, self._is_barred(contract))
                now_ms = self._desk.clock.now_ms()
                has_lost = coverage.has_lost_claims(self._desk, self._memory, contract, now_ms)
                await self._bring(contract, SuspensionCause.CLAIM, has_lost)

    def _is_barred(self, contract: ContractState) -> bool:
        """The contract rests for whichever of its parties is barred: it goes on when none is."""
        parties = {one for one in (contract.fo, contract.counterparty, contract.relay) if one is not None}
        return any(self._desk.state.credentials.is_barred(party) for party in parties)

    async def _bring(self, contract: ContractState, cause: SuspensionCause, rests: bool | None) -> None:
        """The port has said of the contract what `rests` says; None changes nothing."""
        stands = contract.suspended_by(cause, self._desk.me.party) is not None
        if rests is None or rests is stands:
            return
        if rests and contract.status(self._desk.clock.now_ms()) not in _SIGNED:
            return
        kind = ContractSuspended if rests else ContractResumed
        try:
            await self._desk.say(kind(fsc_id=contract.fsc_id, cause=cause), f"fsc/{contract.fsc_id}")
        except LedgerError as error:
            log.error("contract not suspended or resumed", fsc_id=contract.fsc_id, reason=cause.value, code=error.code)
