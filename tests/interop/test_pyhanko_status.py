"""pyhanko-certvalidator judges the same CRLs and OCSP responses: where it sees a revocation we see one, and back.

Every case says what both think. Where they differ the reason stands beside it: we are the stricter, but about one pointer that RFC 5280 lets us ignore.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathError, RevokedError, ValidationError

from pki import ocsp
from pki.asn1.ocsp import CertStatus
from pki.responder import Responder
from pki.roles import Group, Purpose
from pki.status import Revoked, StatusIndeterminate, StatusSet
from pki.store.records import Reason
from pki.trust import encoded
from tests.support import crls, pki_world
from tests.support.crls import COMPROMISE, HOLD, HOUR_MS, REMOVE, Line
from tests.support.ocsp import Delegate, Forged, delegate
from tests.support.pki_world import World

CLIENT = Purpose.TLS_CLIENT
FO = "FI-AUR"
GOOD, REVOKED, UNKNOWN = "good", "revoked", "not known"


@pytest.fixture(scope="module")
def world() -> World:
    return pki_world.perform()


@pytest.fixture(scope="module")
def about_authority(world: World) -> bytes:
    """The root's own list, which is good in every case: what varies is what is said about the leaf."""
    root = world.made.hierarchy.root.certificate.subject
    return next(der for der in world.made.crls_at(world.tls_at_ms - 1000) if x509.load_der_x509_crl(der).issuer == root)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """It logs every refusal with its trace."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def _theirs(world: World, lists: tuple[bytes, ...], answers: tuple[bytes, ...]) -> str:
    leaf, issuing = world.chain(FO, CLIENT)
    context = ValidationContext(
        trust_roots=[asn1.Certificate.load(encoded(world.made.hierarchy.root.certificate))],
        crls=list(lists),
        ocsps=[asn1_ocsp.OCSPResponse.load(der) for der in answers],
        moment=dt.datetime.fromtimestamp(world.tls_at_ms // 1000, tz=dt.UTC),
        allow_fetching=False,
        revocation_mode="require",
    )
    try:
        validator = CertificateValidator(
            asn1.Certificate.load(leaf),
            intermediate_certs=[asn1.Certificate.load(issuing)],
            validation_context=context,
        )
        asyncio.run(validator.async_validate_usage({"digital_signature"}))
    except RevokedError:
        return REVOKED
    except (PathError, ValidationError):
        return UNKNOWN
    return GOOD


def _ours(world: World, lists: tuple[bytes, ...], answers: tuple[bytes, ...]) -> str:
    try:
        status = StatusSet([*lists, *answers])
        world.check(world.chain(FO, CLIENT), CLIENT, status=status)
    except Revoked:
        return REVOKED
    except StatusIndeterminate:
        return UNKNOWN
    return GOOD


def _serial(world: World) -> int:
    return int(x509.load_der_x509_certificate(world.chain(FO, CLIENT)[0]).serial_number)


def _crl(
    world: World, *reasons: x509.ReasonFlags, number: int | None = 7, after_ms: int = -HOUR_MS, **changes: Any
) -> bytes:
    """A list of the FO's authority from an hour ago; each reason is one line about the FO's certificate."""
    lines = [Line(_serial(world), world.tls_at_ms - 2 * HOUR_MS, reason) for reason in reasons]
    authority = changes.pop("authority", world.made.hierarchy.issuing[Group.FO])
    return crls.made(authority, world.tls_at_ms + after_ms, number, lines, **changes)


def _ocsp(world: World, *, by: Callable[[World], Delegate | None] | None = None, **changes: Any) -> bytes:
    """A response of a right responder from a minute ago, but for the changes."""
    authority = world.made.hierarchy.issuing[Group.FO]
    signer = (_delegate() if by is None else by)(world)
    at_ms = (world.tls_at_ms - 60_000) // 1000 * 1000
    return replace(Forged(authority, at_ms, (_serial(world),), by=signer), **changes).der()


def _revoked(world: World, **changes: Any) -> bytes:
    return _ocsp(world, status=CertStatus.REVOKED, revoked_at_ms=world.tls_at_ms - 2 * HOUR_MS, reason=1, **changes)


def _delegate(group: Group = Group.FO, **changes: Any) -> Callable[[World], Delegate]:
    def made(world: World) -> Delegate:
        begun_ms = world.tls_at_ms - 24 * HOUR_MS
        return delegate(world.made.hierarchy.issuing[group], world.tls_at_ms, begins_ms=begun_ms, **changes)

    return made


STAYS = "a revocation is for ever, so a word of it does not go stale; nobody renews the evidence that we audit with"


@dataclass(frozen=True)
class Case:
    """Evidence about one certificate, and what both make of it."""

    ours: str
    theirs: str
    lists: Callable[[World], tuple[bytes, ...]] = lambda _: ()
    answers: Callable[[World], tuple[bytes, ...]] = lambda _: ()
    why: str = ""
    """Why they differ."""


CASES: dict[str, Case] = {
    "no evidence": Case(UNKNOWN, UNKNOWN),
    "list": Case(GOOD, GOOD, lambda w: (_crl(w),)),
    "list with it": Case(REVOKED, REVOKED, lambda w: (_crl(w, COMPROMISE),)),
    "list that is stale": Case(UNKNOWN, UNKNOWN, lambda w: (_crl(w, after_ms=-30 * HOUR_MS),)),
    "list from the future": Case(UNKNOWN, UNKNOWN, lambda w: (_crl(w, after_ms=HOUR_MS),)),
    "list that is stale, with it": Case(
        REVOKED,
        UNKNOWN,
        lambda w: (_crl(w, COMPROMISE, after_ms=-30 * HOUR_MS),),
        why=STAYS,
    ),
    "list of another authority": Case(
        UNKNOWN, UNKNOWN, lambda w: (_crl(w, authority=w.made.hierarchy.issuing[Group.CSO]),)
    ),
    "list of another authority under the right name": Case(
        UNKNOWN,
        UNKNOWN,
        lambda w: (
            _crl(
                w, authority=w.made.hierarchy.issuing[Group.CSO], issuer=w.made.hierarchy.issuing[Group.FO].certificate
            ),
        ),
    ),
    "list of authorities": Case(UNKNOWN, UNKNOWN, lambda w: (_crl(w, only="ca"),)),
    "list of attribute certificates": Case(UNKNOWN, UNKNOWN, lambda w: (_crl(w, only="attribute"),)),
    "indirect list": Case(
        UNKNOWN,
        GOOD,
        lambda w: (_crl(w, indirect=True),),
        why="they follow RFC 5280 section 5.2.5; our authorities make none, and none is believed",
    ),
    "list with an unknown critical extension": Case(
        UNKNOWN,
        UNKNOWN,
        lambda w: (_crl(w, more=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),)),),
    ),
    "list without a number": Case(
        UNKNOWN,
        GOOD,
        lambda w: (_crl(w, number=None),),
        why="RFC 5280 section 5.2.3: an issuer must number its lists, and without it nobody sees a roll-back",
    ),
    "hold": Case(REVOKED, REVOKED, lambda w: (_crl(w, HOLD),)),
    "delta with it": Case(
        REVOKED, REVOKED, lambda w: (_crl(w, freshest=False), _crl(w, COMPROMISE, number=8, base=7, after_ms=-60_000))
    ),
    "delta without it": Case(
        GOOD, GOOD, lambda w: (_crl(w, freshest=False), _crl(w, number=8, base=7, after_ms=-60_000))
    ),
    "delta that ends a hold": Case(
        GOOD, GOOD, lambda w: (_crl(w, HOLD, freshest=False), _crl(w, REMOVE, number=8, base=7, after_ms=-60_000))
    ),
    "delta of a later base": Case(
        REVOKED, REVOKED, lambda w: (_crl(w, freshest=False), _crl(w, COMPROMISE, number=9, base=8, after_ms=-60_000))
    ),
    "pointer to a delta that is not there": Case(
        GOOD,
        UNKNOWN,
        lambda w: (_crl(w, freshest=False),),
        why="RFC 5280 section 5.2.6: it may be ignored, the complete list is in force; they want the delta",
    ),
    "delta alone": Case(
        REVOKED,
        UNKNOWN,
        lambda w: (_crl(w, COMPROMISE, number=8, base=7),),
        why="it says nothing of what it does not list, but what it does list is signed; they leave it aside",
    ),
    "answer": Case(GOOD, GOOD, answers=lambda w: (_ocsp(w),)),
    "answer of the authority itself": Case(GOOD, GOOD, answers=lambda w: (_ocsp(w, by=lambda _: None),)),
    "answer by SHA-1": Case(GOOD, GOOD, answers=lambda w: (_ocsp(w, sha1=True),)),
    "answer revoked": Case(REVOKED, REVOKED, answers=lambda w: (_revoked(w),)),
    "answer that is stale": Case(
        UNKNOWN, UNKNOWN, answers=lambda w: (_ocsp(w, at_ms=(w.tls_at_ms // 1000 - 7200) * 1000),)
    ),
    "answer that is stale and says revoked": Case(
        REVOKED,
        UNKNOWN,
        answers=lambda w: (_revoked(w, at_ms=(w.tls_at_ms // 1000 - 5400) * 1000),),
        why=STAYS,
    ),
    "answer from the future": Case(
        UNKNOWN, UNKNOWN, answers=lambda w: (_ocsp(w, at_ms=(w.tls_at_ms // 1000 + 3600) * 1000),)
    ),
    "answer unknown": Case(UNKNOWN, UNKNOWN, answers=lambda w: (_ocsp(w, status=CertStatus.UNKNOWN),)),
    "answer about another certificate": Case(UNKNOWN, UNKNOWN, answers=lambda w: (_ocsp(w, serials=(7,)),)),
    "answer about another issuer's": Case(
        UNKNOWN, UNKNOWN, answers=lambda w: (_ocsp(w, issuer=w.made.hierarchy.issuing[Group.CSO].certificate),)
    ),
    "answer of another authority's responder": Case(
        UNKNOWN, UNKNOWN, answers=lambda w: (_ocsp(w, by=_delegate(Group.CSO)),)
    ),
    "answer of a client": Case(
        UNKNOWN, UNKNOWN, answers=lambda w: (_ocsp(w, by=_delegate(usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))),)
    ),
    "answer of a responder for everything": Case(
        UNKNOWN,
        GOOD,
        answers=lambda w: (
            _ocsp(w, by=_delegate(usages=(ExtendedKeyUsageOID.OCSP_SIGNING, ExtendedKeyUsageOID.CLIENT_AUTH))),
        ),
        why="with us a key has one purpose",
    ),
    "answer of a responder without nocheck": Case(
        UNKNOWN, UNKNOWN, answers=lambda w: (_ocsp(w, by=_delegate(nocheck=False)),)
    ),
    "answer without an end": Case(
        UNKNOWN,
        GOOD,
        answers=lambda w: (_ocsp(w, next_ms=None),),
        why="RFC 6960 section 4.2.2.1 allows it: newer information is always there, so it holds for no time",
    ),
    "good answer and a list with it": Case(
        REVOKED,
        GOOD,
        lambda w: (_crl(w, COMPROMISE),),
        lambda w: (_ocsp(w),),
        why="they ask for lists only if no answer says good; with us one word of a revocation revokes",
    ),
    "list without it and a revoked answer": Case(REVOKED, REVOKED, lambda w: (_crl(w),), lambda w: (_revoked(w),)),
}


@pytest.mark.parametrize("what", CASES)
def test_both_think_of_evidence_what_is_said_here(world: World, about_authority: bytes, what: str) -> None:
    case = CASES[what]
    lists, answers = (about_authority, *case.lists(world)), case.answers(world)
    assert (_ours(world, lists, answers), _theirs(world, lists, answers)) == (case.ours, case.theirs)


def test_where_they_differ_there_is_a_reason_and_we_are_the_stricter_but_once() -> None:
    differ = {what: case for what, case in CASES.items() if case.ours != case.theirs}
    assert {what for what, case in CASES.items() if case.why} == set(differ)
    assert [what for what, case in differ.items() if case.ours == GOOD] == ["pointer to a delta that is not there"]


def test_both_believe_what_our_own_authority_and_responder_say() -> None:
    own = pki_world.perform()
    authority = own.made.hierarchy.issuing[Group.FO]
    answering = Responder(own.made.hierarchy.authorities())
    answering.rotate(own.tls_at_ms)
    asked = ocsp.ask(authority.certificate, (_serial(own),))
    for revoked in (False, True):
        if revoked:
            authority.revoke(_serial(own), Reason.KEY_COMPROMISE, own.tls_at_ms - 5000)
            answering.forget()
        answer = (answering.answer(asked.der, own.tls_at_ms).der,)
        every = tuple(own.made.crls_at(own.tls_at_ms))
        root = own.made.hierarchy.root.certificate.subject
        of_root = tuple(der for der in every if x509.load_der_x509_crl(der).issuer == root)
        wanted = REVOKED if revoked else GOOD
        assert (_ours(own, every, ()), _theirs(own, every, ())) == (wanted, wanted)
        assert (_ours(own, of_root, answer), _theirs(own, of_root, answer)) == (wanted, wanted)
