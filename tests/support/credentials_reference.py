"""docs/reference/credentials.md, from the profiles, and from one certificate of each."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from pki import oids, profiles
from pki.profiles import DAY_MS, YEAR_MS, Hosts, InfrastructureProfile, KeyKind, Profile
from tests.support import profile_samples
from tests.support.vectors import REPOSITORY

HEAD: Final = """\
# Credentials

Generated from the profiles (`pki/profiles.py`) and from one certificate of each; a test compares this page with them.
[Credential profile](../spec/credential-profile.md) says what the fields mean and how they are checked.

Days are of 24 hours, a year is 366 days. Every certificate starts five minutes before it is made and never outlives
its issuer. `<zone>` is the deployment's domain.
"""

_KEYS: Final = {KeyKind.P256: "P-256", KeyKind.P384: "P-384", KeyKind.ED25519: "Ed25519"}
_USAGES: Final = ("digital_signature", "key_cert_sign", "crl_sign")
_STANDARD: Final = {
    ExtendedKeyUsageOID.CLIENT_AUTH: "id-kp-clientAuth",
    ExtendedKeyUsageOID.SERVER_AUTH: "id-kp-serverAuth",
    ExtendedKeyUsageOID.OCSP_SIGNING: "id-kp-OCSPSigning",
}
_EXTENSIONS: Final = {
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: (
        "subject key identifier",
        "SHA-1 of the bits of the key (RFC 5280, method 1)",
    ),
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: ("authority key identifier", "the issuer's subject key identifier, alone"),
    ExtensionOID.BASIC_CONSTRAINTS: ("basic constraints", ""),
    ExtensionOID.KEY_USAGE: ("key usage", ""),
    ExtensionOID.EXTENDED_KEY_USAGE: ("extended key usage", "those of the profile, no more and no fewer"),
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME: ("subject alternative name", "the identity URI, and host names by profile"),
    ExtensionOID.CERTIFICATE_POLICIES: ("certificate policies", "the one policy of the profile, without qualifiers"),
    ExtensionOID.NAME_CONSTRAINTS: ("name constraints", "permitted: `<group>.<zone>`; excluded: every IP address"),
    ExtensionOID.CRL_DISTRIBUTION_POINTS: ("CRL distribution points", "`http://pki.<zone>/crl/<issuer>.crl`"),
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS: (
        "authority information access",
        "OCSP: `http://pki.<zone>/pki/ocsp`, but in authorities; caIssuers: `http://pki.<zone>/pki/<issuer>.crt`",
    ),
    ExtensionOID.OCSP_NO_CHECK: ("id-pkix-ocsp-nocheck", "NULL (RFC 6960)"),
    oids.NO_REV_AVAIL: ("no revocation available", "NULL (RFC 9608)"),
    oids.FLEX_ROLE: ("id-pe-flexRole", "`FlexRole`: role, party, services, delegation"),
}


def credentials() -> str:
    """docs/reference/credentials.md."""
    return "\n".join([HEAD, *_leaves(), *_authorities(), *_houses(), *_layouts(), *_identifiers()])


def _leaves() -> Iterator[str]:
    yield "## Parties and things\n"
    yield "| profile | issuing authority | extended key usages | policy | host names | keys | days | revocation |"
    yield "|---|---|---|---|---|---|---|---|"
    for profile in profiles.PROFILES.values():
        cells = [
            f"`{profile.name}`",
            profile.group,
            _named(profile.ekus),
            _named((profile.policy,)),
            {Hosts.NONE: "none", Hosts.OPTIONAL: "may have", Hosts.REQUIRED: "must have"}[profile.hosts],
            _key_names(profile.keys),
            _bounds(profile),
            "none, short-lived" if profile.no_rev_avail else "CRL",
        ]
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield "Days: what is given if nothing is asked for, and the most that can be asked for."
    yield ""


def _authorities() -> Iterator[str]:
    yield "## Authorities\n"
    yield "| profile | policy | extended key usages | key | years |"
    yield "|---|---|---|---|---|"
    root = profiles.ROOT
    yield f"| `{root.name}` | none | none | {_key_names(root.keys)} | {root.lifetime_ms // YEAR_MS} |"
    for one in profiles.AUTHORITIES.values():
        ekus, key = _named(one.ekus), _key_names(one.keys)
        yield f"| `{one.name}` | {_named((one.policy,))} | {ekus} | {key} | {one.lifetime_ms // YEAR_MS} |"
    yield ""


def _houses() -> Iterator[str]:
    yield "## Keys of the house\n"
    yield "| profile | issuing authority | extended key usage | policy | key | days | revocation |"
    yield "|---|---|---|---|---|---|---|"
    for one in profiles.INFRASTRUCTURE:
        cells = [
            f"`{one.name}`",
            "each its own" if one.group is None else one.group,
            _named((one.eku,)),
            "none" if one.policy is None else _named((one.policy,)),
            _key_names(one.keys),
            str(one.lifetime_ms // DAY_MS),
            "not asked for, short-lived" if one.no_check else "CRL",
        ]
        yield "| " + " | ".join(cells) + " |"
    yield ""


def _layouts() -> Iterator[str]:
    yield "## Extensions of each kind\n"
    yield "In the order in which they stand. A development certificate has the policy `id-cp-test` besides; its root too."
    yield ""
    shown: dict[str, list[str]] = {}
    for name, sample in profile_samples.samples().items():
        shown.setdefault(_layout(sample.certificate), []).append(name)
    for layout, names in shown.items():
        yield "### " + _kind_of(names) + "\n"
        yield ", ".join(f"`{name}`" for name in names)
        yield ""
        yield "| extension | critical | value |\n|---|---|---|"
        yield layout
        yield ""


def _kind_of(names: list[str]) -> str:
    """A heading for profiles that have the same extensions."""
    first = profile_samples.samples()[names[0]].profile
    if isinstance(first, profiles.RootProfile):
        return "Root"
    if isinstance(first, profiles.AuthorityProfile):
        return "Issuing authorities"
    if isinstance(first, InfrastructureProfile):
        return "Keys that nobody asks about" if first.no_check else "Checkpoint signer"
    if first.no_rev_avail:
        return "Short-lived credentials"
    return "Attribute authorities" if first.crl_sign else "Credentials with revocation"


def _layout(certificate: x509.Certificate) -> str:
    rows = []
    for extension in certificate.extensions:
        name, value = _EXTENSIONS[extension.oid]
        critical = "yes" if extension.critical else "no"
        rows.append(f"| {name} | {critical} | {value or _shown(extension.value)} |")
    return "\n".join(rows)


def _shown(value: x509.ExtensionType) -> str:
    if isinstance(value, x509.BasicConstraints):
        return f"authority, path length {value.path_length}" if value.ca else "no authority"
    return ", ".join(_camel(usage) for usage in _USAGES if getattr(value, usage))


def _camel(name: str) -> str:
    first, *others = name.replace("crl", "cRL").split("_")
    return first + "".join(other.capitalize() for other in others)


def _identifiers() -> Iterator[str]:
    yield "## Object identifiers\n"
    yield f"Under the arc `{oids.ARC}`, the documentation arc of RFC 5612: [why](../adr/0011-one-arc.md).\n"
    yield "| name | number | for |\n|---|---|---|"
    for oid, name in module_names().items():
        if name.startswith(("id-pe-", "id-kp-", "id-ks-", "id-cp-")):
            yield f"| `{name}` | `{oid.removeprefix(oids.ARC)}` | {_used_for(oid)} |"
    yield ""


def _used_for(oid: str) -> str:
    number = x509.ObjectIdentifier(oid)
    if number == oids.FLEX_ROLE:
        return "the role extension"
    if number == oids.CP_TEST:
        return "everything of a development hierarchy; refused in production"
    users = [profile.name for profile in profiles.PROFILES.values() if number in {*profile.ekus, profile.policy}]
    users += [one.name for one in profiles.INFRASTRUCTURE if number in {one.eku, one.policy}]
    return ", ".join(f"`{name}`" for name in users)


@cache
def module_names() -> dict[str, str]:
    """Name by number, of every identifier that the ASN.1 module assigns, in its order."""
    text = (REPOSITORY / "docs" / "spec" / "ECV-DESS.asn1").read_text(encoding="utf-8")
    found = {"id-ecvdess": oids.ARC}
    for name, above, number in re.findall(r"(id-[\w-]+)\s+OBJECT IDENTIFIER ::= \{ (id-[\w-]+) (\d+) \}", text):
        found[name] = f"{found[above]}.{number}"
    return {number: name for name, number in found.items()}


def _named(found: tuple[x509.ObjectIdentifier, ...]) -> str:
    return ", ".join(f"`{_STANDARD.get(oid) or module_names()[oid.dotted_string]}`" for oid in found)


def _key_names(kinds: tuple[KeyKind, ...]) -> str:
    return ", ".join(_KEYS[kind] for kind in kinds)


def _bounds(profile: Profile) -> str:
    given, most = profile.default_lifetime_ms // DAY_MS, profile.max_lifetime_ms // DAY_MS
    return str(most) if given == most else f"{given}, at most {most}"
