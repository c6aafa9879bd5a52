"""Do the claims at hand cover what is asked of an EVSE and an EV?

DC: the inverter is in the EVSE, so its claim suffices. AC: the inverter is in the car and functions are split, so
the EV and the EVSE need a claim each, or one for the two as a matched pair. Charging alone needs none.

A claim about a type covers a thing only through an installation link. What a claim does not say, it does not cover.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal, TypeAlias

import msgspec

from pki import regions
from pki.asn1.claims import Claim, DerFunction, Thing, ThingKind, TypeRef
from pki.conformity import VerifiedClaim, VerifiedLink
from pki.errors import Refused
from pki.gridcode import Status
from pki.roles import Role, Service

Kind: TypeAlias = Literal["AC", "DC"]
MAX_DOCUMENTS = 64  # claims and links looked at for one decision
_PAIR = 2
_EVSE_KINDS = frozenset({ThingKind.EVSE, ThingKind.CHARGING_STATION})
_EV_KINDS = frozenset({ThingKind.EV})
_Things: TypeAlias = tuple[tuple[str, frozenset[ThingKind]], ...]


class NotCovered(Refused):
    """The claims at hand do not cover what is asked; `reason` is the nearest miss, stable like a code."""

    code = "pki/not-covered"
    title = "Conformity not covered"
    reasons: ClassVar[tuple[str, ...]] = (
        "region-unknown",
        "too-many-claims",
        "no-claim",
        "no-link",
        "not-valid",
        "function",
        "der-function",
        "region",
        "grid-code",
        "scheme",
        "firmware",
        "power",
        "response",
        "region-uncertain",
    )
    """In the order in which a claim is looked at: of several misses the one that came furthest is told."""

    def __init__(self, reason: str, detail: str, **where: str) -> None:
        """`reason` is one of `reasons`."""
        self.reason = reason
        super().__init__(detail, found=reason, **where)

    @property
    def undecided(self) -> bool:
        """Whether nothing is missing that is known of: what this region asks was never read, so nobody can say yes."""
        return self.reason == "region-uncertain"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What must be covered.

    `generator` is whether the function feeds in or holds a droop; without it no claim is needed. Things are the SHA-256
    (hex) of their keys; `firmware_sha256` is what each runs now, by its key. `charge_w` and `discharge_w` are the
    greatest powers asked for, neither negative; `response_ms` is the time to full response that is asked, None if none
    is. `operator` is the party whose links about the EVSE count beside those of conformity bodies.
    """

    kind: Kind
    generator: bool
    function: Service
    region: str
    evse_spki_sha256: str
    ev_spki_sha256: str | None
    at_ms: int
    charge_w: int = 0
    discharge_w: int = 0
    response_ms: int | None = None
    firmware_sha256: Mapping[str, str] = msgspec.field(default_factory=dict)
    operator: str | None = None
    der_functions: frozenset[DerFunction] | None = None
    """What must have been tested; None for what the service always needs."""


class Coverage(msgspec.Struct, frozen=True):
    """Why it is covered: the claims and links used, and until when that holds; none if none are needed."""

    needed: bool
    claims: tuple[VerifiedClaim, ...] = ()
    links: tuple[VerifiedLink, ...] = ()

    @property
    def documents(self) -> tuple[VerifiedClaim | VerifiedLink, ...]:
        """The claims, then the links."""
        return (*self.claims, *self.links)

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 (hex) of every document used."""
        return tuple(one.digest for one in self.documents)

    @property
    def valid_until_ms(self) -> int | None:
        """The earliest limit of all that was used; None if nothing was."""
        return min((one.status_valid_until_ms for one in self.documents), default=None)


def covers(held: Sequence[VerifiedClaim], ask: Ask, links: Sequence[VerifiedLink] = ()) -> Coverage:
    """The claims, and the links where claims are about types, that cover `ask`; or NotCovered with the reason.

    A region covers itself and its parts ("FI" covers "FI-18"). What the region's grid code asks is asked too; where
    nobody has looked into it, nothing covers feeding in. Where what it asks of a claim is UNCERTAIN, nothing does
    either, and the miss is `undecided`: a guess of ours is no cover.
    """
    if not ask.generator:
        return Coverage(needed=False)
    code = regions.grid_code_of(ask.region)
    if code is None:
        raise NotCovered("region-unknown", "the grid code of this region is not known here", region=ask.region)
    found = _covering(held, links, ask)
    if code.claims.status is Status.UNCERTAIN:
        raise NotCovered("region-uncertain", "what this region asks of a claim is uncertain here", region=ask.region)
    return found


def _covering(held: Sequence[VerifiedClaim], links: Sequence[VerifiedLink], ask: Ask) -> Coverage:
    """What covers `ask` if the file of its region is right; or NotCovered."""
    if len(held) + len(links) > MAX_DOCUMENTS:
        raise NotCovered("too-many-claims", f"at most {MAX_DOCUMENTS} claims and links are looked at")
    evse = (ask.evse_spki_sha256, _EVSE_KINDS)
    if ask.kind == "DC":
        return _together(_find(held, links, (evse,), ask))
    if ask.ev_spki_sha256 is None:
        raise NotCovered("no-claim", "in AC the EV needs a claim, and no EV is known")
    ev = (ask.ev_spki_sha256, _EV_KINDS)
    try:
        return _together(_find(held, links, (evse, ev), ask))
    except NotCovered as error:
        of_pair = error
    try:
        return _together(_find(held, links, (evse,), ask), _find(held, links, (ev,), ask))
    except NotCovered as error:
        # If there is a claim about the pair, why it does not do says more than that there is none about the two.
        raise (error if of_pair.reason == "no-claim" else of_pair) from None


_Used: TypeAlias = tuple[VerifiedClaim, tuple[VerifiedLink, ...]]


def _together(*used: _Used) -> Coverage:
    claims = tuple(claim for claim, _ in used)
    return Coverage(needed=True, claims=claims, links=tuple(link for _, links in used for link in links))


def _find(held: Sequence[VerifiedClaim], links: Sequence[VerifiedLink], things: _Things, ask: Ask) -> _Used:
    """The first claim that is about exactly `things` and covers `ask`, with its links; else the furthest miss."""
    misses = ["no-claim"]
    for claim in held:
        chosen = _linked(claim, links, things, ask)
        if chosen is None:
            continue
        if isinstance(chosen, str):
            misses.append(chosen)
            continue
        miss = _miss(claim, chosen, things, ask)
        if miss is None:
            return claim, tuple(link for link in chosen if link is not None)
        misses.append(miss)
    what = "pair" if len(things) == _PAIR else "thing"
    raise NotCovered(_furthest(misses), f"no claim about this {what} covers what is asked")


def _furthest(misses: Sequence[str]) -> str:
    return max(misses, key=NotCovered.reasons.index)


def _linked(
    claim: VerifiedClaim, links: Sequence[VerifiedLink], things: _Things, ask: Ask
) -> list[VerifiedLink | None] | str | None:
    """For each thing the link that makes it an instance of what `claim` is about, None where the claim names its key.

    Or why there is no such link; or None if the claim is about something else altogether: an EV never stands for an
    EVSE.
    """
    found = claim.content.things
    if len(found) != len(things):
        return None
    chosen: list[VerifiedLink | None] = []
    reason = ""
    for thing, (key, kinds) in zip(found, things, strict=True):
        if thing.kind not in kinds or thing.spki_sha256 not in (None, key):
            return None
        if thing.spki_sha256 is not None:
            chosen.append(None)
            continue
        instances = [link for link in links if _is_instance(link, thing, key, ask)]
        standing = [link for link in instances if link.not_before_ms <= ask.at_ms <= link.status_valid_until_ms]
        if not standing:
            reason = reason or ("not-valid" if instances else "no-link")
            continue
        # The newest says what the thing is now.
        chosen.append(max(standing, key=lambda link: (link.not_before_ms, link.digest)))
    return reason or chosen


def _is_instance(link: VerifiedLink, thing: Thing, key: str, ask: Ask) -> bool:
    """Whether `link`, by somebody who may say so, makes the thing with this key an instance of the type `thing`.

    An operator speaks for its own EVSEs and stations, of which the site's configuration lists the keys. For an EV
    nobody does but a conformity body.
    """
    may_say = link.body.role is Role.CB or (
        thing.kind in _EVSE_KINDS and ask.operator is not None and link.body.party_id == ask.operator
    )
    return (
        may_say
        and link.content.spki_sha256 == key
        and link.content.kind is thing.kind
        and thing.type_ref is not None
        and _same_type(link.content.type_ref, thing.type_ref)
    )


def _same_type(found: TypeRef, certified: TypeRef) -> bool:
    same_hardware = certified.hardware is None or found.hardware == certified.hardware
    return (found.manufacturer, found.model) == (certified.manufacturer, certified.model) and same_hardware


def _miss(claim: VerifiedClaim, links: Sequence[VerifiedLink | None], things: _Things, ask: Ask) -> str | None:
    """Why `claim` does not cover `ask`; None if it does."""
    if not claim.not_before_ms <= ask.at_ms <= claim.status_valid_until_ms:
        return "not-valid"
    firmware_holds = _firmware_holds(claim, links, things, ask)
    misses = []
    for item in claim.content.claims:
        found = next(_misses_of(item, ask, firmware_holds=firmware_holds), None)
        if found is None:
            return None
        misses.append(found)
    return _furthest(misses)


def _firmware_holds(claim: VerifiedClaim, links: Sequence[VerifiedLink | None], things: _Things, ask: Ask) -> bool:
    """Every thing runs the firmware that was certified, if one was, and ran it when it was linked."""
    for thing, link, (key, _) in zip(claim.content.things, links, things, strict=True):
        certified = None if thing.type_ref is None else thing.type_ref.firmware_sha256
        if certified is None:
            continue
        linked = certified if link is None else link.content.type_ref.firmware_sha256
        if ask.firmware_sha256.get(key) != certified or linked != certified:
            return False
    return True


def _misses_of(item: Claim, ask: Ask, *, firmware_holds: bool) -> Iterator[str]:
    """Everything that `item` lacks, in the order of `NotCovered.reasons`. What it does not say, it lacks."""
    code = regions.grid_code_of(ask.region)
    if ask.function not in item.services:
        yield "function"
    always = regions.functions_of(ask.function)
    needed = always if ask.der_functions is None else ask.der_functions
    if code is not None and always <= needed:
        # A curve of voltage is claimed as a droop too, with functions of its own: what is sold as a droop is not that.
        needed |= code.functions_for(ask.function)
    if not needed <= item.functions:
        yield "der-function"
    if not any(ask.region == region or ask.region.startswith(f"{region}-") for region in item.regions):
        yield "region"
    if code is None or not code.accepts(item.grid_code, item.standard):
        yield "grid-code"
    if code is None or item.scheme < code.weakest_scheme:
        yield "scheme"
    if not firmware_holds:
        yield "firmware"
    if _is_over(ask.charge_w, item.max_charge_w) or _is_over(ask.discharge_w, item.max_discharge_w):
        yield "power"
    if ask.response_ms is not None and (item.response_ms is None or item.response_ms > ask.response_ms):
        yield "response"


def _is_over(asked_w: int, limit_w: int | None) -> bool:
    return asked_w > (limit_w or 0)
