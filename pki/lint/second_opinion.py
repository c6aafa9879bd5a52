"""What a stranger's linter, DigiCert's pkilint, thinks of a certificate: blocking, where it is installed.

It knows RFC 5280 and nothing of our profiles; `rules` knows our profiles. Neither finds all that the other does. It
takes several times as long as everything else about an issuance, so it is no dependency: whoever installs it has it.
"""

import functools
import importlib.util
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.lint.examine import LintFailed

PACKAGE: Final = "pkilint"
_BLOCKING: Final = frozenset({"WARNING", "ERROR", "FATAL"})

_ONE_AT_A_TIME: Final = threading.Lock()
"""The package does not say that several threads may use one of its validators."""

SecondOpinion = Callable[[x509.Certificate], None]
"""Passes, or raises LintFailed."""


@dataclass(frozen=True, slots=True)
class Known:
    """A finding that is none, by its code and message, with the reason."""

    code: str
    message: str
    why: str


KNOWN: Final = (
    Known(
        code="pkix.invalid_domain_name_syntax",
        message='Invalid domain name syntax: "localhost"',
        why="one label is a host name too, and RFC 6761 section 6.3 reserves this one; only development uses it",
    ),
)


def installed() -> SecondOpinion | None:
    """`require_clean` where the package is installed, else None."""
    return None if importlib.util.find_spec(PACKAGE) is None else require_clean


def require_clean(certificate: x509.Certificate) -> None:
    """Passes if nothing from a warning upwards is found that is not KNOWN; else LintFailed with the findings' codes."""
    wrong = [f"{PACKAGE} {code}" for code, message in findings(certificate) if not _is_known(code, message)]
    if wrong:
        raise LintFailed("; ".join(sorted(set(wrong))), expected="no finding", found=len(wrong))


def findings(certificate: x509.Certificate) -> list[tuple[str, str]]:
    """Code and message of everything from a warning upwards; an unreadable certificate is one finding."""
    with _ONE_AT_A_TIME:
        return _findings(certificate)


def _findings(certificate: x509.Certificate) -> list[tuple[str, str]]:
    try:
        document = import_module("pkilint.loader").load_certificate(certificate.public_bytes(Encoding.DER), "linted")
    except ValueError:
        return [(f"{PACKAGE}.unreadable", "")]
    return [
        (found.finding.code, found.message or "")
        for result in _validator().validate(document.root)
        for found in result.finding_descriptions
        if found.finding.severity.name in _BLOCKING
    ]


def _is_known(code: str, message: str) -> bool:
    return any((one.code, one.message) == (code, message) for one in KNOWN)


@functools.cache
def _validator() -> Any:
    """Every check of RFC 5280 that the package has; loaded when first used, for it takes a while."""
    certificate = import_module("pkilint.pkix.certificate")
    attributes = import_module("pkilint.pkix.name").ATTRIBUTE_TYPE_MAPPINGS
    extensions = import_module("pkilint.pkix.extension").EXTENSION_MAPPINGS
    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(attributes, extensions),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )
