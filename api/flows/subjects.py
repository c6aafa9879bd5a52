"""Whom the personal members of a statement are about: worked out from what the port knows, before it is believed.

Erasure finds a person's data by the name it was kept under. A sender who named somebody else, or nobody, would hide it;
so where the record itself or an earlier entry says whose it is, that counts.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from api import wire
from api.flows.errors import SubjectMissing, SubjectOther
from ledger.privacy.identifiers import normalise
from ledger.records import record
from ledger.records.disclosure import Disclosure
from ledger.records.record import Part, Record
from ledger.records.sites import ClaimKind, ClaimRegistered, InstallationLinked

VEHICLES: Final = frozenset({ClaimKind.EV, ClaimKind.PAIR})
"""Claims and links that name a car, which is somebody's."""
_NO_ONE: Final[Mapping[str, str]] = {}


class Persons(Protocol):
    """What is known of persons from earlier entries, as far as the vault still tells."""

    def person_of(self, participation: str) -> str | None:
        """Whose participation it is, or None."""
        ...

    def person_with(self, key_sha256: str) -> str | None:
        """Who was last plugged in with the car of this key, or None."""
        ...


class NobodyKnown:
    """Before there is a memory."""

    def person_of(self, participation: str) -> str | None:
        """Nobody's."""
        return _NO_ONE.get(participation)

    def person_with(self, key_sha256: str) -> str | None:
        """Nobody."""
        return _NO_ONE.get(key_sha256)


def of_members(
    event: Any, whole: Record, given: Sequence[tuple[Disclosure, str | None]], persons: Persons
) -> dict[str, str | None]:
    """Whose each disclosure is, by digest: as derived, else as `given`, else nobody's in particular.

    What earlier entries know corrects the sender without a word, who could else ask in this way whose a participation
    is. Raises `SubjectOther` where the sender contradicts its own record, `SubjectMissing` where a car's papers were
    given to nobody, `SubjectNameRefused`.
    """
    chains = dict(record.holders(event, whole))
    found: dict[str, str | None] = {}
    for opened, named in given:
        chain = chains.get(opened.digest, ())
        own = _named(chain)
        whose = _agreed(own, named) if own is not None else _participant(chain, persons) or named
        if whose is None and _is_of_a_car(whole):
            whose = _driver(whole, persons)
            if whose is None:
                raise SubjectMissing("a car is somebody's: its papers need a subject", member=opened.name)
        found[opened.digest] = whose
    return found


def of_attachments(
    attachments: Mapping[str, wire.SubmittedAttachment],
    given: Sequence[tuple[Disclosure, str | None]],
    subjects: Mapping[str, str | None],
) -> dict[str, wire.SubmittedAttachment]:
    """The attachments, each about whom the member that names its digest is about, where that is anybody."""
    owner = {
        text: subjects[opened.digest]
        for opened, _ in given
        for text in (opened.value if isinstance(opened.value, list) else [opened.value])
        if isinstance(text, str)
    }
    return {
        sha256: wire.SubmittedAttachment(data=one.data, subject=owner.get(sha256) or one.subject)
        for sha256, one in attachments.items()
    }


def _agreed(own: str, named: str | None) -> str:
    if named is not None and normalise(own) != normalise(named):
        raise SubjectOther("what is said of one person was given to another", expected="whom the record names")
    return own


def _named(chain: Sequence[Part]) -> str | None:
    """Whom the record itself names, innermost part first."""
    named = (getattr(part, "evu", None) for part in reversed(chain))
    return next((one for one in named if isinstance(one, str)), None)


def _participant(chain: Sequence[Part], persons: Persons) -> str | None:
    """Whose participation it is about, as earlier entries have it."""
    for part in reversed(chain):
        participation = getattr(part, "participation", None)
        known = persons.person_of(participation) if isinstance(participation, str) else None
        if known is not None:
            return known
    return None


def _is_of_a_car(whole: Record) -> bool:
    return isinstance(whole, ClaimRegistered | InstallationLinked) and whole.subject in VEHICLES


def _driver(whole: Record, persons: Persons) -> str | None:
    things = getattr(whole, "things", None) or (getattr(whole, "thing", None),)
    known = [persons.person_with(one) for one in things if isinstance(one, str)]
    return next((one for one in known if one is not None), None)
