"""Where in the log that stands which somebody has to open again: by key, and never what it says.

Whoever remembers personal parts beside the log finds the entry here and opens it in the vault, so a start need not read
them all. Persons and EVSEs are blind tags.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from ledger.records.contracts import ContractOffered
from ledger.records.credentials import CheckRecorded
from ledger.records.evidence import SamplesCommitted
from ledger.records.opt import OptScheduled, OptScheduleEnded
from ledger.records.parties import DelegationGiven, DelegationRevoked
from ledger.records.record import Record
from ledger.records.sites import ClaimRegistered, ClaimWithdrawn, InstallationLinked, SessionMirrored
from ledger.rules.fact import Fact
from ledger.rules.tables import Plain, Table, Tables

SESSION: Final = "session"
"""The newest session at an EVSE, by its tag."""
OFFER: Final = "offer"
"""The newest offer of a contract, by its id."""
PARTICIPATION: Final = "participation"
"""The newest check of a participation, by its id."""
WORDS: Final = "words"
"""The first batch with what a station signed, by its tag."""
CLAIM: Final = "claim"
"""A claim or link that was not withdrawn, by its id."""
DELEGATION: Final = "delegation"
"""A delegation that was not revoked, by its id."""
SCHEDULE: Final = "schedule"
"""A schedule that was not ended, by its id."""
CLAIMS_OF_SITE: Final = "claims"
"""The claims and links of a site that were not withdrawn, by its id."""
WITHDRAWN_OF_SITE: Final = "withdrawn"
"""Those that were."""
CHECKS_OF_PERSON: Final = "person"
"""The checks that name a person, by the person's tag."""
DELEGATIONS_TO: Final = "delegate"
"""The delegations to a party, by its id or its person's tag."""
SCHEDULES_OF: Final = "holder"
"""The schedules of a party, by its id or its person's tag."""


class Remembered:
    """The indices of entries, by what they are looked for."""

    def __init__(self, tables: Tables) -> None:
        """Nothing was folded yet."""
        self._one: Table[int] = tables.new(Plain("found-at", int))
        self._many: Table[list[int]] = tables.new(Plain("found-among", list[int]))

    def one(self, kind: str, key: str) -> int | None:
        """The index of the entry that is looked for, or None."""
        return self._one.get(f"{kind}/{key}")

    def many(self, kind: str, key: str) -> tuple[int, ...]:
        """The indices of those that are looked for, oldest first."""
        return tuple(self._many.get(f"{kind}/{key}", ()))

    def fold(self, fact: Fact, record: Any) -> None:
        """The fact was written."""
        # By type, for every entry comes by and few types are remembered.
        step = self._STEPS.get(type(record))
        if step is not None:
            step(self, fact, record)

    def _fold_session(self, fact: Fact, _: SessionMirrored) -> None:
        self._found(SESSION, fact.tags.get("evse"), fact.index)

    def _fold_offer(self, fact: Fact, record: ContractOffered) -> None:
        self._found(OFFER, record.fsc_id, fact.index)

    def _fold_samples(self, fact: Fact, _: SamplesCommitted) -> None:
        words = fact.tags.get(WORDS)
        if words is not None:
            self._one.setdefault(f"{WORDS}/{words}", fact.index)

    def _fold_check(self, fact: Fact, record: CheckRecorded) -> None:
        for subject in record.subjects:
            self._found(PARTICIPATION, subject.participation, fact.index)
        for tag in {tag for name, tag in fact.tags.items() if name.startswith("evu/")}:
            self._among(CHECKS_OF_PERSON, tag, fact.index)

    def _fold_claim(self, fact: Fact, record: ClaimRegistered | InstallationLinked) -> None:
        self._found(CLAIM, record.claim_id, fact.index)
        self._among(CLAIMS_OF_SITE, record.site_id, fact.index)

    def _fold_withdrawal(self, _: Fact, record: ClaimWithdrawn) -> None:
        index = self._one.pop(f"{CLAIM}/{record.claim_id}", None)
        of_site = self._many.get(f"{CLAIMS_OF_SITE}/{record.site_id}")
        if index is not None and of_site is not None and index in of_site:
            of_site.remove(index)
            self._among(WITHDRAWN_OF_SITE, record.site_id, index)

    def _fold_delegation(self, fact: Fact, record: DelegationGiven) -> None:
        self._found(DELEGATION, record.delegation_id, fact.index)
        self._among(DELEGATIONS_TO, fact.tags.get("delegate", record.delegate), fact.index)

    def _fold_delegation_end(self, _: Fact, record: DelegationRevoked) -> None:
        self._one.pop(f"{DELEGATION}/{record.delegation_id}", None)

    def _fold_schedule(self, fact: Fact, record: OptScheduled) -> None:
        self._found(SCHEDULE, record.schedule_id, fact.index)
        self._among(SCHEDULES_OF, fact.tags.get("evu", record.party), fact.index)

    def _fold_schedule_end(self, _: Fact, record: OptScheduleEnded) -> None:
        self._one.pop(f"{SCHEDULE}/{record.schedule_id}", None)

    def _found(self, kind: str, key: object, index: int) -> None:
        if isinstance(key, str):
            self._one[f"{kind}/{key}"] = index

    def _among(self, kind: str, key: object, index: int) -> None:
        if isinstance(key, str):
            self._many.setdefault(f"{kind}/{key}", []).append(index)

    _STEPS: ClassVar[dict[type[Record], Callable[..., None]]] = {
        SessionMirrored: _fold_session,
        ContractOffered: _fold_offer,
        CheckRecorded: _fold_check,
        SamplesCommitted: _fold_samples,
        ClaimRegistered: _fold_claim,
        InstallationLinked: _fold_claim,
        ClaimWithdrawn: _fold_withdrawal,
        DelegationGiven: _fold_delegation,
        DelegationRevoked: _fold_delegation_end,
        OptScheduled: _fold_schedule,
        OptScheduleEnded: _fold_schedule_end,
    }
    """What each record leaves to be found by; of the others nothing is looked for."""
