"""What the claim commands read and write: the files that describe a claim, keys, chains, lists, documents."""

import base64
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
from cryptography import x509
from msgspec import Meta

from api.cli.files import read_file
from api.errors import Refused
from ledger import toml_text
from pki import keys
from pki.asn1.claims import Claim, ConformityClaims, DerFunction, Scheme, Thing, ThingKind, TypeRef
from pki.asn1.links import InstallationLink
from pki.attribute import AttributeAuthority
from pki.journal import MemoryJournal
from pki.roles import Service
from pki.store.sqlite import SqliteStore

MAX_SPEC_BYTES: Final = 65_536
MAX_PEM_BYTES: Final = 1 << 20
DAY_MS: Final = 86_400_000
T = TypeVar("T")
_PEM = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----([A-Za-z0-9+/=\s]+)-----END [A-Z0-9 ]+-----")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class ClaimFileRefused(Refused):
    """A file that a claim command was given does not say what it must."""

    code = "api/claim-file"
    title = "File cannot be used"


class TypeSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A type of equipment."""

    manufacturer: str
    model: str
    hardware: str | None = None
    firmware_sha256: _Digest | None = None


class ThingSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A thing by its key, or by the certificate that has it; a type where neither is given."""

    kind: str
    key_sha256: _Digest | None = None
    certificate: str | None = None
    type: TypeSpec | None = None
    public_id: str | None = None
    commitment: _Digest | None = None


class ItemSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One certificate of the body."""

    standard: str
    edition: str
    scheme: str
    cert_number: str
    services: tuple[str, ...]
    regions: tuple[str, ...]
    functions: tuple[str, ...] = ()
    max_charge_w: int | None = None
    max_discharge_w: int | None = None
    response_ms: int | None = None
    report_sha256: _Digest | None = None
    report_uri: str | None = None
    grid_code: str | None = None


class ClaimSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `flexledger claim issue` takes."""

    things: Annotated[tuple[ThingSpec, ...], Meta(min_length=1, max_length=2)]
    claims: Annotated[tuple[ItemSpec, ...], Meta(min_length=1, max_length=16)]
    days: Annotated[int, Meta(ge=1, le=366)] = 365


class LinkSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `flexledger claim link` takes."""

    thing: ThingSpec
    days: Annotated[int, Meta(ge=1, le=366)] = 90
    record_sha256: _Digest | None = None


def parse(path: Path, kind: type[T]) -> T:
    """The description in a TOML file; raises ClaimFileRefused, `BundleUnusable`."""
    data = read_file(path, MAX_SPEC_BYTES)
    if len(data) > MAX_SPEC_BYTES:
        raise ClaimFileRefused("the file is too large", expected=f"at most {MAX_SPEC_BYTES} bytes", file=path.name)
    try:
        return toml_text.decode(data, kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClaimFileRefused(f"the file cannot be read: {error}", file=path.name) from error


def claims_of(spec: ClaimSpec, folder: Path) -> ConformityClaims:
    """What the body will sign; certificates are looked for in `folder`."""
    return ConformityClaims(
        things=tuple(_thing(one, folder) for one in spec.things), claims=tuple(_item(one) for one in spec.claims)
    )


def link_of(spec: LinkSpec, folder: Path) -> InstallationLink:
    """What the operator or the witness will sign."""
    thing = _thing(spec.thing, folder)
    if thing.spki_sha256 is None or thing.type_ref is None:
        raise ClaimFileRefused("a link names a thing and its type", expected="key_sha256 or certificate, and type")
    return InstallationLink(thing.kind, thing.spki_sha256, thing.type_ref, spec.record_sha256)


def _thing(spec: ThingSpec, folder: Path) -> Thing:
    key = spec.key_sha256
    if spec.certificate is not None:
        if key is not None:
            raise ClaimFileRefused("a thing is named twice", expected="key_sha256 or certificate")
        key = key_of(str(folder / spec.certificate))
    type_ref = None
    if spec.type is not None:
        type_ref = TypeRef(spec.type.manufacturer, spec.type.model, spec.type.hardware, spec.type.firmware_sha256)
    return Thing(_named(ThingKind, spec.kind), key, type_ref, spec.public_id, spec.commitment)


def key_of(named: str) -> str:
    """The digest (hex) of a thing's key: as it is written, or that of the key in a certificate file."""
    if _DIGEST.fullmatch(named):
        return named
    leaf = _certificate(Path(named))
    return keys.spki_sha256(keys.require_leaf_key(leaf.public_key()))


def _item(spec: ItemSpec) -> Claim:
    return Claim(
        standard=spec.standard,
        edition=spec.edition,
        scheme=_named(Scheme, spec.scheme),
        cert_number=spec.cert_number,
        services=frozenset(_named(Service, one) for one in spec.services),
        regions=spec.regions,
        max_charge_w=spec.max_charge_w,
        max_discharge_w=spec.max_discharge_w,
        response_ms=spec.response_ms,
        report_sha256=spec.report_sha256,
        report_uri=spec.report_uri,
        grid_code=spec.grid_code,
        functions=frozenset(_named(DerFunction, one) for one in spec.functions),
    )


def _named(kind: type[T], name: str) -> T:
    """The member of an enumeration with this name."""
    members: dict[str, T] = getattr(kind, "__members__", {})
    if name not in members:
        raise ClaimFileRefused("a word that is not known", expected=" or ".join(members), found=name[:64])
    return members[name]


def ders(paths: Iterable[Path]) -> list[bytes]:
    """Every certificate or list in these files, PEM or DER, and in the files of these folders; in order."""
    found: list[bytes] = []
    for path in paths:
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            data = read_file(file, MAX_PEM_BYTES)
            blocks = [base64.b64decode(b"".join(body.split())) for body in _PEM.findall(data)]
            found.extend(blocks or [data])
    if not found:
        raise ClaimFileRefused("there is nothing in the files")
    return found


def authority(key: Path, certificate: Path, store: Path) -> AttributeAuthority:
    """Who signs, with the store that remembers what was signed; raises what reading keys and certificates raises.

    The store keeps every intent, so that a signature that was begun and not finished is seen.
    """
    leaf = _certificate(certificate)
    return AttributeAuthority(leaf, keys.load_private(key, None), SqliteStore(store), MemoryJournal())


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(ders([path])[0])
    except (IndexError, ValueError):
        raise ClaimFileRefused("the file holds no certificate", expected="PEM or DER", file=path.name) from None


def write_new(path: Path, data: bytes) -> None:
    """Writes a file that is not there yet; raises ClaimFileRefused."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise ClaimFileRefused("the file cannot be written", found=error.strerror, file=path.name) from error
