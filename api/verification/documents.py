"""Which of a site's registered claims and links a check looks at; the same for the service and for an auditor."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeAlias

import msgspec

from api.verification.errors import SignerUnknown
from ledger.records.sites import ClaimKind, ClaimRegistered, InstallationLinked
from pki.asn1.claims import Thing, ThingKind, TypeRef, thing_digest
from pki.asn1.links import InstallationLink
from pki.conformity import VerifiedClaim, VerifiedLink
from pki.errors import PkiError

Registered: TypeAlias = ClaimRegistered | InstallationLinked
Open: TypeAlias = Callable[[], VerifiedClaim | VerifiedLink]
"""Returns the document as it is good at the moment of the check, or raises what is wrong with it."""


class Document(msgspec.Struct, frozen=True):
    """A registered claim or link, whole, and how to open it."""

    registered: Registered
    open: Open


DocumentsOf: TypeAlias = Callable[[Collection[str]], Iterable[Document]]
"""The documents of the site that can matter for the things with these keys, in the order of registration."""


def relevant(documents: Iterable[Document], keys: Collection[str]) -> list[Document]:
    """Links of these things, claims about them, about a pair of them or of their types, and about any single type.

    What hides what it is about is left out; whoever asks says so where it matters.
    """
    found = list(documents)
    types = {digest for link in _links(found, keys) for digest in _types_of(link)}
    return [one for one in found if _matters(one.registered, keys, types)]


def difference(registered: Registered, found: VerifiedClaim | VerifiedLink) -> str | None:
    """The first member in which a registration says something else than its document; None if there is none."""
    said: dict[str, tuple[object, object]] = {
        "subject": (registered.subject, _subject(found)),
        "issuer": (registered.issuer, found.body.party_id),
        # A document's times are whole seconds.
        "not_before_ms": (registered.not_before_ms // 1000, found.not_before_ms // 1000),
        "not_after_ms": (registered.not_after_ms // 1000, found.not_after_ms // 1000),
    }
    if isinstance(registered, ClaimRegistered) and isinstance(found, VerifiedClaim):
        things = tuple(thing_digest(thing).hex() for thing in found.content.things)
        said["things"] = (registered.things, things)
    elif isinstance(registered, InstallationLinked) and isinstance(found, VerifiedLink):
        said["thing"] = (registered.thing, found.content.spki_sha256)
    else:
        return "type"
    return next((name for name, (one, other) in said.items() if one != other), None)


def _subject(found: VerifiedClaim | VerifiedLink) -> ClaimKind:
    if isinstance(found, VerifiedLink):
        return ClaimKind.EV if found.content.kind is ThingKind.EV else ClaimKind.EVSE
    things = found.content.things
    if len(things) > 1:
        return ClaimKind.PAIR
    if things[0].spki_sha256 is None:
        return ClaimKind.TYPE
    return ClaimKind.EV if things[0].kind is ThingKind.EV else ClaimKind.EVSE


def _matters(registered: Registered, keys: Collection[str], types: Collection[str]) -> bool:
    if isinstance(registered, InstallationLinked):
        return registered.thing in keys
    if not isinstance(registered.things, tuple):
        return False
    if registered.subject is ClaimKind.TYPE:
        return True
    return all(thing in keys or thing in types for thing in registered.things)


def _links(documents: Iterable[Document], keys: Collection[str]) -> Iterator[InstallationLink]:
    for one in documents:
        if isinstance(one.registered, InstallationLinked) and one.registered.thing in keys:
            try:
                opened = one.open()
            except (PkiError, SignerUnknown):
                continue
            if isinstance(opened, VerifiedLink):
                yield opened.content


def _types_of(link: InstallationLink) -> Iterator[str]:
    """The digests of every type that the thing is an instance of: with or without hardware and firmware."""
    type_ref = link.type_ref
    for hardware in {None, type_ref.hardware}:
        for firmware in {None, type_ref.firmware_sha256}:
            named = TypeRef(type_ref.manufacturer, type_ref.model, hardware, firmware)
            yield thing_digest(Thing(link.kind, None, named)).hex()
