"""The rules of attribute certificates, each with its citation; a finding blocks the signature."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography import x509

from pki.asn1 import claims, links
from pki.asn1.attributecert import Attribute, AttributeInfo
from pki.asn1.claims import ConformityClaims
from pki.asn1.links import InstallationLink
from pki.lint.examine import LintFailed
from pki.profiles import YEAR_MS

MIN_SERIAL_BITS = 64
MAX_SERIAL_BITS = 159
_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
_EMAID = re.compile(r"[A-Z]{2}-?[A-Z0-9]{3}-?C[A-Z0-9]{8}(-?[A-Z0-9])?")
_COUNTRY = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Draft:
    """An attribute certificate that is about to be signed, and the certificate of its issuer."""

    info: AttributeInfo
    issuer: x509.Certificate

    @property
    def claims(self) -> ConformityClaims | None:
        """What a claim states; None for a link."""
        return claims.decode(self.info.value) if self.info.attribute is Attribute.CONFORMITY else None

    @property
    def link(self) -> InstallationLink | None:
        """What a link states; None for a claim."""
        return links.decode(self.info.value) if self.info.attribute is Attribute.INSTALLATION else None


@dataclass(frozen=True, slots=True)
class DocumentRule:
    """`check` yields what is wrong; `citation` says who wants it so."""

    name: str
    citation: str
    check: Callable[[Draft], Iterator[str]]


def _serial(draft: Draft) -> Iterator[str]:
    if not MIN_SERIAL_BITS <= draft.info.serial.bit_length() <= MAX_SERIAL_BITS:
        yield "the serial number has not 64 to 159 bits"


def _validity(draft: Draft) -> Iterator[str]:
    info, issuer = draft.info, draft.issuer
    if not 0 < info.not_after_ms - info.not_before_ms <= YEAR_MS:
        yield "it does not last between a second and a year"
    first_ms = int(issuer.not_valid_before_utc.timestamp()) * 1000
    last_ms = int(issuer.not_valid_after_utc.timestamp()) * 1000
    if info.not_before_ms < first_ms or info.not_after_ms > last_ms:
        yield "it is valid when the certificate of its issuer is not"


def _status(draft: Draft) -> Iterator[str]:
    if draft.info.no_rev_avail and draft.claims is not None:
        yield "a claim has noRevAvail"
    usage = draft.issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    if not draft.info.no_rev_avail and not usage.crl_sign:
        yield "it can be revoked, and its issuer cannot sign the list that would say so"


def _names(draft: Draft) -> Iterator[str]:
    for thing in draft.claims.things if draft.claims is not None else ():
        if thing.public_id is not None and (_VIN.fullmatch(thing.public_id) or _EMAID.fullmatch(thing.public_id)):
            yield "the public id looks like a VIN or an EMAID"
        if thing.public_id is not None and thing.kind is claims.ThingKind.EV:
            yield "an EV has a public id"


def _regions(draft: Draft) -> Iterator[str]:
    for claim in draft.claims.claims if draft.claims is not None else ():
        for region in claim.regions:
            if not _COUNTRY.fullmatch(region):
                yield f"{region} is not a code of ISO 3166"


RULES: tuple[DocumentRule, ...] = (
    DocumentRule("ac-serial", "RFC 5755 section 4.2.5", _serial),
    DocumentRule("ac-validity", "RFC 5755 section 4.2.6; a claim is looked at anew once a year", _validity),
    DocumentRule("ac-status", "RFC 5755 section 4.3.6; RFC 5280 section 5", _status),
    DocumentRule("ac-names", "ECV-DESS.asn1, ThingRef: never a VIN, EMAID or PCID", _names),
    DocumentRule("ac-regions", "ISO 3166-1 and -2", _regions),
)


def examine(draft: Draft) -> None:
    """Passes if no rule finds anything; else LintFailed names every finding with its rule and citation."""
    findings = [f"{rule.name}: {text} ({rule.citation})" for rule in RULES for text in rule.check(draft)]
    if findings:
        raise LintFailed("; ".join(findings), expected="no finding", found=len(findings))
