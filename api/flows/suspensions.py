"""A party whose last signing credential is revoked can hold no contract: the port lets its contracts rest.

Derived from the office's entries, and written down as entries of the contracts, so that whoever has a contract's stream
alone knows when it rested. A credential that was issued since lets them go on.
"""

import asyncio

import structlog

from api.flows.desk import Desk, Opened
from ledger.errors import LedgerError
from ledger.records.contracts import ContractResumed, ContractSuspended, SuspensionCause
from ledger.records.credentials import CredentialIssued, CredentialRevoked
from ledger.rules.contract_state import ContractState, ContractStatus

log = structlog.get_logger()

CAUSE = SuspensionCause.CREDENTIAL
_SIGNED = frozenset({ContractStatus.SIGNED, ContractStatus.ACTIVE, ContractStatus.SUSPENDED})


class Suspensions:
    """Listens to the office's entries, and keeps the contracts of those whom they are about in step."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tasks: set[asyncio.Task[None]] = set()
        desk.listen(self.heard)

    def heard(self, opened: Opened, _stream: str, _rec_ms: int) -> None:
        """A credential was issued or revoked."""
        said = opened.whole
        if isinstance(said, CredentialIssued | CredentialRevoked):
            known = self._desk.state.credentials.find(said.issuer_key_sha256, said.serial)
            if known is not None and known.party is not None:
                task = asyncio.create_task(self.settle(known.party))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def settle(self, party: str) -> None:
        """The contracts of the party rest if it has no signing credential left, and go on if it has one again."""
        barred = self._desk.state.credentials.is_barred(party)
        for contract in self._desk.state.contracts_of(party):
            stands = contract.suspended_by(CAUSE, self._desk.me.party) is not None
            if barred is stands or (barred and not self._is_signed(contract)):
                continue
            # The contract rests for either party: it goes on when neither is barred.
            others = (contract.fo, contract.counterparty)
            if not barred and any(one and self._desk.state.credentials.is_barred(one) for one in others):
                continue
            kind = ContractSuspended if barred else ContractResumed
            try:
                await self._desk.say(kind(fsc_id=contract.fsc_id, cause=CAUSE), f"fsc/{contract.fsc_id}")
            except LedgerError as error:
                log.error("contract not suspended or resumed", fsc_id=contract.fsc_id, code=error.code)

    async def settle_all(self) -> None:
        """After a start: what a crash left between a last revocation and the contracts is made good."""
        for party in self._desk.state.credentials.barred():
            await self.settle(party)

    async def close(self) -> None:
        """What was begun is finished."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _is_signed(self, contract: ContractState) -> bool:
        return contract.status(self._desk.clock.now_ms()) in _SIGNED
