"""`flexledger claim check`: do these claims and links cover that? Offline, from the files that are given."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec
import typer
from cryptography import x509

from api.cli import claim_files
from api.cli.claim_files import ClaimFileRefused
from api.cli.claim_issue import REFUSED, refused
from api.errors import ApiError
from api.verification.actors import Directory
from ledger.errors import LedgerError
from pki.clock import SystemClock
from pki.conformity import VerifiedClaim, VerifiedLink
from pki.coverage import MAX_DOCUMENTS, Ask, NotCovered, covers
from pki.errors import PkiError
from pki.roles import Service
from pki.status import StatusIndeterminate, StatusSet
from pki.trust import TrustAnchors

COVERED: Final = 0
NOT_COVERED: Final = 1
INDETERMINATE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where the evidence lies: roots that are trusted, chains of the signers, revocation lists."""

    roots: Sequence[Path]
    chains: Sequence[Path]
    crls: Sequence[Path]
    development: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, in the words of the command line."""

    kind: str
    service: str
    region: str
    evse: str
    ev: str | None
    evse_firmware: str | None
    ev_firmware: str | None
    charge_w: int
    discharge_w: int
    response_ms: int | None
    operator: str | None
    at_ms: int | None


def run(documents: Sequence[Path], *, evidence: Evidence, question: Question, json: bool) -> int:
    """Exit code 0 covered, 1 not covered, 2 unusable, 3 indeterminate."""
    try:
        ask = _ask(question)
        directory = _directory(evidence)
        papers = claim_files.ders(documents)
        if len(papers) > MAX_DOCUMENTS:
            raise ClaimFileRefused("too many documents", expected=f"at most {MAX_DOCUMENTS}", found=len(papers))
        code, answer = _answer(papers, directory, ask)
    except (ApiError, LedgerError, PkiError, ValueError) as error:
        refused(error, json=json)
        return REFUSED
    if json:
        typer.echo(msgspec.json.encode(answer).decode())
    else:
        for name, value in answer.items():
            typer.echo(f"{name} {' '.join(value) if isinstance(value, list) else value}")
    return code


def _answer(papers: Sequence[bytes], directory: Directory, ask: Ask) -> tuple[int, dict[str, Any]]:
    claims: list[VerifiedClaim] = []
    links: list[VerifiedLink] = []
    problems: list[str] = []
    undecided = False
    for paper in papers:
        try:
            found = directory.document(paper, ask.at_ms)
        except (PkiError, ApiError) as error:
            problems.append(error.code)
            undecided = undecided or isinstance(error, StatusIndeterminate)
            continue
        if isinstance(found, VerifiedLink):
            links.append(found)
        else:
            claims.append(found)
    try:
        coverage = covers(claims, ask, links)
    except NotCovered as error:
        undecided = undecided or error.undecided
        outcome = "INDETERMINATE" if undecided else "NOT_COVERED"
        answer = {"outcome": outcome, "reason": error.reason, "refused": problems}
        return INDETERMINATE if undecided else NOT_COVERED, answer
    answer = {"outcome": "COVERED", "documents": list(coverage.digests), "refused": problems}
    return COVERED, {**answer, "valid_until_ms": coverage.valid_until_ms}


def _ask(question: Question) -> Ask:
    if question.kind not in ("AC", "DC"):
        raise ClaimFileRefused("where the inverter is", expected="AC or DC", found=question.kind[:16])
    if question.service not in set(Service):
        raise ClaimFileRefused("not a service", expected=" or ".join(Service), found=question.service[:32])
    evse, ev = claim_files.key_of(question.evse), None if question.ev is None else claim_files.key_of(question.ev)
    running = ((evse, question.evse_firmware), (ev, question.ev_firmware))
    return Ask(
        kind=cast(Literal["AC", "DC"], question.kind),
        generator=True,
        function=Service(question.service),
        region=question.region,
        evse_spki_sha256=evse,
        ev_spki_sha256=ev,
        at_ms=SystemClock().now_ms() if question.at_ms is None else question.at_ms,
        charge_w=question.charge_w,
        discharge_w=question.discharge_w,
        response_ms=question.response_ms,
        firmware_sha256={key: found for key, found in running if key is not None and found is not None},
        operator=question.operator,
    )


def _directory(evidence: Evidence) -> Directory:
    """Who may be believed, from the files alone."""
    anchors = TrustAnchors(claim_files.ders(evidence.roots), allow_development=evidence.development)
    leaves: list[bytes] = []
    issuers: list[bytes] = []
    for der in claim_files.ders(evidence.chains):
        certificate = x509.load_der_x509_certificate(der)
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        (issuers if is_authority else leaves).append(der)
    directory = Directory(anchors, issuers, StatusSet(claim_files.ders(evidence.crls)))
    for der in leaves:
        directory.add(der)
    return directory
