"""Who acts for which person, and what they want of requests to come: what the vault adds to the log's public state."""

from typing import Final

from ledger.clock import Clock
from ledger.records.opt import OptActor, OptScheduled, OptScheduleEnded
from ledger.records.parties import DelegationGiven, DelegationRevoked, Scope
from ledger.records.record import Record

RIGHTS: Final = (DelegationGiven, DelegationRevoked, OptScheduled, OptScheduleEnded)


class Rights:
    """Delegations and schedules in force, whole; part of the memory, and folded with it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._delegations: dict[str, DelegationGiven] = {}
        """Those that were not revoked."""
        self._schedules: dict[str, OptScheduled] = {}
        """Those that were not ended."""

    def remember(self, whole: Record) -> None:
        """An entry of the log, with what the vault opens of it."""
        if isinstance(whole, DelegationGiven):
            self._delegations[whole.delegation_id] = whole
        elif isinstance(whole, DelegationRevoked):
            self._delegations.pop(whole.delegation_id, None)
        elif isinstance(whole, OptScheduled):
            self._schedules[whole.schedule_id] = whole
        elif isinstance(whole, OptScheduleEnded):
            self._schedules.pop(whole.schedule_id, None)

    def forget_all(self) -> None:
        """Everything is opened again."""
        self._delegations.clear()
        self._schedules.clear()

    def forget_person(self, evu: str) -> None:
        """The person was erased: nothing here remembers them."""
        self._delegations = {
            name: one for name, one in self._delegations.items() if evu not in (one.evu, one.evu_delegate)
        }
        self._schedules = {name: one for name, one in self._schedules.items() if one.evu != evu}

    def grantors(self, delegate: str, scope: Scope) -> set[str]:
        """The persons who delegated that to the party, and whose delegation is in force."""
        now_ms = self._clock.now_ms()
        return {
            one.evu
            for one in self._delegations.values()
            if delegate in (one.delegate, one.evu_delegate)
            and scope in one.scopes
            and now_ms < one.until_ms
            and isinstance(one.evu, str)
        }

    def scheduled(self, holder: str, actor: OptActor, evse_id: str, window: tuple[int, int]) -> OptScheduled | None:
        """The newest schedule of an actor that says something of an EVSE for a part of that time, or None."""
        for one in reversed(self._schedules.values()):
            is_theirs = one.actor is actor and holder in (one.party, one.evu)
            is_there = not isinstance(one.evse_ids, tuple) or evse_id in one.evse_ids
            if not (is_theirs and is_there and isinstance(one.from_ms, int) and isinstance(one.until_ms, int)):
                continue
            if one.from_ms < window[1] and window[0] < one.until_ms:
                return one
        return None

    def schedule(self, schedule_id: str) -> OptScheduled | None:
        """A schedule that was not ended, whole."""
        return self._schedules.get(schedule_id)

    def delegation(self, delegation_id: str) -> DelegationGiven | None:
        """A delegation that was not revoked, whole."""
        return self._delegations.get(delegation_id)
