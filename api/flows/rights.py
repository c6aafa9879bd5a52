"""Who acts for which person, and what they want of requests to come: what the vault adds to the log's public state."""

from collections.abc import Callable, Iterator

from api.flows.desk import Desk
from ledger.records.opt import OptActor, OptScheduled
from ledger.records.parties import DelegationGiven, Scope
from ledger.records.record import Record
from ledger.rules import remembered


class Rights:
    """Delegations and schedules in force, whole; part of the memory, which opens them."""

    def __init__(self, desk: Desk, whole_at: Callable[[int], Record]) -> None:
        """Nothing is opened yet."""
        self._desk = desk
        self._whole_at = whole_at

    def grantors(self, delegate: str, scope: Scope) -> set[str]:
        """The persons who delegated that to the party, and whose delegation is in force."""
        now_ms = self._desk.clock.now_ms()
        return {
            one.evu
            for one in self._newest_first(remembered.DELEGATIONS_TO, delegate)
            if isinstance(one, DelegationGiven)
            and self.delegation(one.delegation_id) == one
            and delegate in (one.delegate, one.evu_delegate)
            and scope in one.scopes
            and now_ms < one.until_ms
            and isinstance(one.evu, str)
        }

    def scheduled(self, holder: str, actor: OptActor, evse_id: str, window: tuple[int, int]) -> OptScheduled | None:
        """The newest schedule of an actor that says something of an EVSE for a part of that time, or None."""
        for one in self._newest_first(remembered.SCHEDULES_OF, holder):
            if not isinstance(one, OptScheduled) or self.schedule(one.schedule_id) != one:
                continue
            is_theirs = one.actor is actor and holder in (one.party, one.evu)
            is_there = not isinstance(one.evse_ids, tuple) or evse_id in one.evse_ids
            if not (is_theirs and is_there and isinstance(one.from_ms, int) and isinstance(one.until_ms, int)):
                continue
            if one.from_ms < window[1] and window[0] < one.until_ms:
                return one
        return None

    def schedule(self, schedule_id: str) -> OptScheduled | None:
        """A schedule that was not ended, whole."""
        index = self._desk.state.remembered.one(remembered.SCHEDULE, schedule_id)
        found = None if index is None else self._whole_at(index)
        return found if isinstance(found, OptScheduled) and found.schedule_id == schedule_id else None

    def delegation(self, delegation_id: str) -> DelegationGiven | None:
        """A delegation that was not revoked, whole."""
        index = self._desk.state.remembered.one(remembered.DELEGATION, delegation_id)
        found = None if index is None else self._whole_at(index)
        return found if isinstance(found, DelegationGiven) and found.delegation_id == delegation_id else None

    def _newest_first(self, kind: str, party: str) -> Iterator[Record]:
        """What names a party: an organisation by its id, a person by a blind tag, which an erasure makes nobody's."""
        keys = (party, *self._desk.person_tags({"evu": party}).values())
        indices = {index for key in keys for index in self._desk.state.remembered.many(kind, key)}
        return (self._whole_at(index) for index in sorted(indices, reverse=True))
