"""A whole hierarchy and the credentials of its parties, from one reviewed file.

Signing credentials and TLS credentials may live at different times: the demonstration plays a day of the past, and its
statements are signed in that day, while its connections are made today.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pki import attribute, csr, keyplace, keys, names, pkcs11, profiles, transcript
from pki.authority import Subscriber
from pki.errors import Refused
from pki.hierarchy import Hierarchy
from pki.journal import Journal, MemoryJournal
from pki.lint.second_opinion import SecondOpinion
from pki.roles import Group, Purpose, Role, Service
from pki.store.records import CeremonyRecord, CeremonyReplayed, CertificateStore, Issued
from pki.store.sqlite import SqliteStore
from pki.trust import TrustAnchors, encoded

MAX_SPEC_BYTES = 262_144
MAX_PARTIES = 512
MAX_STATIONS = 4096
TRANSCRIPTS = "transcripts"
T = TypeVar("T")


class BadSpec(Refused):
    """The file of a ceremony does not say what it must, or contradicts itself."""

    code = "pki/ceremony-spec"
    title = "Ceremony file refused"


class PartySpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A party; `id` stands in its certificates, but for an EVU, whose certificates hold a random pseudonym instead.

    `dns_names` are the hosts of a CSO's server; without any it gets no server certificate.
    """

    id: str
    role: Role
    organisation: str = ""
    services: tuple[Service, ...] = ()
    delegated_by: str | None = None
    dns_names: tuple[str, ...] = ()


class StationSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A charging station or EVSE that a CSO operates."""

    id: str
    operator: str


class CeremonySpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be made; `development` marks every certificate so that production refuses it.

    `ceremony` is the id under which it is recorded (its digest without one), `performed_by` who is there. `keys` gives
    the places of authorities' keys in tokens, by authority ("root", "fo"); the others are made here and kept in files.
    """

    organisation: str
    zone: str = names.DEFAULT_ZONE
    development: bool = False
    created_at_ms: int | None = None
    ceremony: str = ""
    performed_by: tuple[str, ...] = ()
    root_days: int = profiles.ROOT_LIFETIME_MS // profiles.DAY_MS
    issuing_days: int = profiles.ISSUING_LIFETIME_MS // profiles.DAY_MS
    keys: dict[str, str] = {}
    parties: tuple[PartySpec, ...] = ()
    stations: tuple[StationSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key and its certificate; `chain` is DER from the leaf to the issuing authority, as TLS sends it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Minted:
    """The credentials of one party or station, by purpose; `party_id` is the one in the certificates."""

    id: str
    role: Role
    party_id: str
    station_id: str | None
    organisation: str
    credentials: Mapping[Purpose, IssuedKey]


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What was made. `crls` are those of all authorities and of the bodies' claims, for both times (DER).

    `transcript` says it all in one file (see `pki.transcript`), with the `signature` of the root over it.
    """

    hierarchy: Hierarchy
    parties: Mapping[str, Minted]
    stations: Mapping[str, Minted]
    crls: tuple[bytes, ...]
    anchors: TrustAnchors
    store: CertificateStore = field(repr=False)
    transcript: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def claims_crl(self, party: str, now_ms: int) -> bytes:
        """The next CRL of the claims of the conformity body `party`."""
        body = self.parties[party].credentials[Purpose.ATTRIBUTE]
        development = self.hierarchy.root.development
        return attribute.claims_crl(body.key, body.certificate, self.store, now_ms=now_ms, allow_earlier=development)

    def crls_at(self, now_ms: int) -> tuple[bytes, ...]:
        """The next CRL of every authority and of every body's claims as of `now_ms`."""
        bodies = [minted.id for minted in self.parties.values() if Purpose.ATTRIBUTE in minted.credentials]
        return (
            *self.hierarchy.crl(now_ms).values(),
            *(self.claims_crl(body, now_ms) for body in bodies),
        )


def parse_spec(data: bytes) -> CeremonySpec:
    """The ceremony that the TOML in `data` describes, or BadSpec."""
    spec = read_spec(data, CeremonySpec)
    require_consistent(spec)
    return spec


def read_spec(data: bytes, kind: type[T]) -> T:
    """The TOML in `data` as a `kind`, or BadSpec."""
    if len(data) > MAX_SPEC_BYTES:
        raise BadSpec("the file is too large", expected=f"at most {MAX_SPEC_BYTES} bytes", found=len(data))
    try:
        return msgspec.toml.decode(data, type=kind)
    except UnicodeDecodeError as error:
        raise BadSpec("the file is not text in UTF-8") from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        # The last two are of the parser: a number with too many digits, too many brackets.
        raise BadSpec(f"the file cannot be read: {error}") from error


def require_first(store: CertificateStore, ceremony: str) -> None:
    """No ceremony of this id was performed before; or CeremonyReplayed."""
    if store.ceremony(ceremony) is not None:
        raise CeremonyReplayed("this ceremony was performed before", found=ceremony)


def require_consistent(spec: CeremonySpec) -> None:
    """Ids are unique, stations have a CSO, numbers are within limits, EVUs have no organisation; or BadSpec."""
    for what, count, most in (
        ("parties", len(spec.parties), MAX_PARTIES),
        ("stations", len(spec.stations), MAX_STATIONS),
    ):
        if count > most:
            raise BadSpec(f"too many {what}", expected=f"at most {most}", found=count)
    unknown = set(spec.keys) - {"root", *(group.lower() for group in Group)}
    if unknown:
        raise BadSpec("a key is placed for an authority that is not there", found=", ".join(sorted(unknown)))
    for place in spec.keys.values():
        keyplace.parse(place)
    ids = [party.id for party in spec.parties] + [station.id for station in spec.stations]
    if len(set(ids)) != len(ids):
        raise BadSpec("an id occurs twice")
    operators = {party.id for party in spec.parties if party.role is Role.CSO}
    for station in spec.stations:
        if station.operator not in operators:
            raise BadSpec("the operator of a station is not a CSO of this file", station=station.id)
    for party in spec.parties:
        if party.role is Role.STATION:
            raise BadSpec("a station is listed under stations", party=party.id)
        if (party.role is Role.EVU) == bool(party.organisation):
            raise BadSpec("every party but an EVU has an organisation", party=party.id)


def perform(
    spec: CeremonySpec,
    *,
    tls_now_ms: int,
    signing_now_ms: int,
    store: CertificateStore | None = None,
    journal: Journal | None = None,
    second_opinion: SecondOpinion | None = None,
) -> Ceremony:
    """The hierarchy of `spec` with fresh keys, a credential for every purpose of every party, and CRLs for both times.

    Authorities start at `spec.created_at_ms`, or at the earlier of the two times. TLS credentials are made as of
    `tls_now_ms`, all others as of `signing_now_ms`. Raises BadSpec, or whatever issuing raises.
    """
    require_consistent(spec)
    kept = SqliteStore() if store is None else store
    digest = transcript.spec_sha256(spec)
    ceremony = spec.ceremony or digest
    require_first(kept, ceremony)
    hierarchy = Hierarchy.create(
        organisation=spec.organisation,
        zone=spec.zone,
        now_ms=min(tls_now_ms, signing_now_ms) if spec.created_at_ms is None else spec.created_at_ms,
        store=kept,
        journal=MemoryJournal() if journal is None else journal,
        development=spec.development,
        second_opinion=second_opinion,
        signers=_token_keys(spec),
        root_lifetime_ms=spec.root_days * profiles.DAY_MS,
        issuing_lifetime_ms=spec.issuing_days * profiles.DAY_MS,
    )
    times = {
        Purpose.TLS_CLIENT: tls_now_ms,
        Purpose.TLS_SERVER: tls_now_ms,
        Purpose.SIGNING: signing_now_ms,
        Purpose.ATTRIBUTE: signing_now_ms,
    }
    operators = {party.id: party for party in spec.parties}
    holders = [_party(party) for party in spec.parties]
    holders += [_station(station, operators[station.operator].organisation) for station in spec.stations]
    minted = _mint(hierarchy, holders, times)
    parties = {party.id: minted[party.id] for party in spec.parties}
    stations = {station.id: minted[station.id] for station in spec.stations}
    made = Ceremony(hierarchy, parties, stations, (), hierarchy.anchors(), kept, b"", b"")
    crls = tuple(data for at_ms in sorted({tls_now_ms, signing_now_ms}) for data in made.crls_at(at_ms))
    text = transcript.written(
        ceremony=ceremony,
        spec=spec,
        at_ms=[tls_now_ms, signing_now_ms],
        performed_by=spec.performed_by,
        authorities=hierarchy.authorities(),
        certificates=_issued(hierarchy, minted.values()),
        crls=crls,
    )
    kept.add_ceremony(CeremonyRecord(ceremony, digest, max(tls_now_ms, signing_now_ms), text))
    return replace(made, crls=crls, transcript=text, signature=transcript.signed(text, hierarchy.root))


def _token_keys(spec: CeremonySpec) -> dict[Group | None, keys.Signer]:
    """The keys that are made in tokens, by group; None is the root."""
    groups: dict[str, Group | None] = {"root": None, **{group.lower(): group for group in Group}}
    return {
        groups[name]: pkcs11.generate(keyplace.parse(place), ec.SECP384R1() if name == "root" else ec.SECP256R1())
        for name, place in sorted(spec.keys.items())
    }


def _issued(hierarchy: Hierarchy, minted: Iterable[Minted]) -> list[Issued]:
    """What the store holds of the credentials, holder by holder."""
    return [
        hierarchy.root.store.get(hierarchy.authority_of(holder.role).key_sha256, issued.certificate.serial_number)
        for holder in minted
        for issued in holder.credentials.values()
    ]


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who gets credentials, and what stands in each of them."""

    id: str
    role: Role
    subscribers: Mapping[Purpose, Subscriber]


def _party(spec: PartySpec) -> _Holder:
    party_id = names.new_pseudonym() if spec.role is Role.EVU else spec.id
    subscribers = {}
    for purpose in Purpose:
        served = purpose is Purpose.TLS_SERVER
        if (spec.role, purpose) not in profiles.PROFILES or (served and not spec.dns_names):
            continue
        subscribers[purpose] = Subscriber(
            party_id=party_id,
            organisation=spec.organisation,
            services=frozenset(spec.services),
            delegated_by=spec.delegated_by,
            dns_names=spec.dns_names if served else (),
        )
    return _Holder(spec.id, spec.role, subscribers)


def _station(spec: StationSpec, organisation: str) -> _Holder:
    subscriber = Subscriber(party_id=spec.operator, organisation=organisation, station_id=spec.id)
    return _Holder(spec.id, Role.STATION, dict.fromkeys((Purpose.TLS_CLIENT, Purpose.SIGNING), subscriber))


def _mint(hierarchy: Hierarchy, holders: Sequence[_Holder], times: Mapping[Purpose, int]) -> dict[str, Minted]:
    """The credentials of all, the earlier ones first: an authority's clock does not go back."""
    made: dict[str, dict[Purpose, IssuedKey]] = {holder.id: {} for holder in holders}
    for purpose in sorted(Purpose, key=lambda purpose: times[purpose]):
        for holder in holders:
            if purpose in holder.subscribers:
                subscriber = holder.subscribers[purpose]
                made[holder.id][purpose] = _credential(hierarchy, holder.role, purpose, subscriber, times[purpose])
    minted = {}
    for holder in holders:
        one = next(iter(holder.subscribers.values()))
        minted[holder.id] = Minted(
            holder.id, holder.role, one.party_id, one.station_id, one.organisation, made[holder.id]
        )
    return minted


def _credential(hierarchy: Hierarchy, role: Role, purpose: Purpose, subscriber: Subscriber, now_ms: int) -> IssuedKey:
    """A fresh key with its certificate, by the same way in as everyone: a request with proof of possession."""
    key = keys.generate()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    opened = csr.open_csr(request.public_bytes(Encoding.DER))
    certificate = hierarchy.issue(role, purpose, opened, subscriber=subscriber, now_ms=now_ms)
    return IssuedKey(key, certificate, (encoded(certificate), *hierarchy.intermediates(role)))


def save(made: Ceremony, folder: Path, password: bytes | None) -> None:
    """Write everything into `folder`: `root/`, `authorities/`, `parties/<id>/<purpose>.{key,crt}.pem`, `stations/...`.

    The root's key is in `root/` alone, to be taken away; those of the issuing authorities are in `authorities/`, the
    lists in `crl/`, what was done in `transcripts/`. CeremonyReplayed if a ceremony wrote there before. Keys
    have mode 0600 and are never overwritten; `root.crt.pem` at the top is what others trust.
    """
    if (folder / TRANSCRIPTS).exists():
        raise CeremonyReplayed("the folder holds what a ceremony made", found=folder.name)
    made.hierarchy.save(folder / "authorities", password, root_folder=folder / "root", root_password=password)
    (folder / "root.crt.pem").write_bytes(made.hierarchy.root.certificate.public_bytes(Encoding.PEM))
    for kind, minted in (("parties", made.parties), ("stations", made.stations)):
        for holder in minted.values():
            place = folder / kind / holder.id
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            for purpose, issued in holder.credentials.items():
                _save_issued(place, purpose.lower(), issued, password)
    crl_folder = folder / "crl"
    crl_folder.mkdir(exist_ok=True)
    for index, data in enumerate(made.crls):
        (crl_folder / f"{index:03d}.crl").write_bytes(data)
    (folder / TRANSCRIPTS).mkdir()
    (folder / TRANSCRIPTS / "first.json").write_bytes(made.transcript)
    (folder / TRANSCRIPTS / "first.sig").write_bytes(made.signature)


def _save_issued(place: Path, name: str, issued: IssuedKey, password: bytes | None) -> None:
    keys.save_private(place / f"{name}.key.pem", issued.key, password)
    pem = b"".join(x509.load_der_x509_certificate(data).public_bytes(Encoding.PEM) for data in issued.chain)
    (place / f"{name}.crt.pem").write_bytes(pem)
