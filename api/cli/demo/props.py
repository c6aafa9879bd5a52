"""What the actors hand in: the site, claims, sessions, contracts, requests. Builders of records, nothing else."""

import hashlib
import secrets
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import UNSET

from api.cli.demo import cast
from api.cli.demo.cast import Bay
from api.verification import asked
from api.wire import SubmittedAttachment
from ledger.records import jws, statement
from ledger.records.contracts import ContractKind, ContractOffered, ServiceTerms
from ledger.records.requests import (
    DirectiveGiven,
    Evidence,
    Ground,
    Mandate,
    Obligation,
    RequestIssued,
)
from ledger.records.services import (
    CongestionParams,
    CongestionStep,
    CurvePoint,
    Direction,
    DroopParams,
    FfrParams,
    LimitMandatoryParams,
    Params,
    Service,
)
from ledger.records.sites import (
    ClaimKind,
    ClaimRegistered,
    Evse,
    Meter,
    SessionMirrored,
    SiteConfigured,
)
from pki import keys
from pki.asn1.claims import Claim, ConformityClaims, Scheme, Thing, ThingKind, thing_digest
from pki.attribute import AttributeAuthority
from pki.ceremony import Ceremony, IssuedKey
from pki.roles import Purpose
from pki.tbs import Window

FIRMWARE: Final = hashlib.sha256(b"simulated firmware 1.0").hexdigest()
CAP_W: Final = 8 * 4200
QUARTER_MS: Final = 15 * cast.MINUTE_MS
STANDARD: Final = "EN 50549-10"
LEGAL_BASIS: Final = "FI/588-2013/19"


def new_id(kind: str) -> str:
    """A fresh id."""
    return f"{kind}-{secrets.token_hex(8)}"


def spki(key: ec.EllipticCurvePrivateKey) -> str:
    """Hex SHA-256 of the public key: what a thing is known by."""
    return keys.spki_sha256(key.public_key())


def station_spki(made: Ceremony, bay: Bay) -> str:
    """The key of a station, which is its EVSE's and its meter's."""
    return spki(made.stations[bay.station_id].credentials[Purpose.SIGNING].key)


def site(made: Ceremony, place: cast.Place = cast.DEPOT_7) -> SiteConfigured:
    """The site as its operator declares it."""
    return SiteConfigured(
        site_id=place.site_id,
        version=1,
        import_limit_w=place.import_limit_w,
        export_limit_w=place.export_limit_w,
        congestion_point=place.congestion_point,
        region="FI",
        evses=tuple(
            Evse(
                evse_id=bay.evse_id,
                station_id=bay.station_id,
                connector=1,
                kind=bay.kind,
                max_charge_w=bay.config.max_charge_w,
                max_discharge_w=bay.config.max_discharge_w,
                services=tuple(service.value for service in bay.services),
                control_modes=bay.control_modes,
                max_inject_var=bay.config.max_inject_var,
                max_absorb_var=bay.config.max_absorb_var,
                response_time_ms=900,
                meter=Meter(
                    serial=f"{bay.station_id}-M1",
                    key_spki_sha256=station_spki(made, bay),
                    accuracy_ppm=10_000,
                    resolution_milliwh=100,
                    sample_period_ms=100,
                ),
                key_spki_sha256=station_spki(made, bay),
                firmware_sha256=FIRMWARE,
            )
            for bay in place.bays
        ),
    )


def session(
    bay: Bay,
    person: str,
    car: ec.EllipticCurvePrivateKey,
    from_ms: int,
    until_ms: int,
    *,
    place: cast.Place = cast.DEPOT_7,
) -> SessionMirrored:
    """A car at its EVSE, whose user allows discharging where the EVSE can."""
    return SessionMirrored(
        session_id=new_id("session"),
        site_id=place.site_id,
        evse_id=bay.evse_id,
        evu=person,
        discharge_allowed=bay.config.max_discharge_w > 0 and bay.name not in place.without_consent,
        ev_key_spki_sha256=spki(car),
        ev_firmware_sha256=FIRMWARE,
        ev=place.cars.get(bay.name, UNSET),
        from_ms=from_ms,
        until_ms=until_ms,
    )


def laboratory(made: Ceremony) -> AttributeAuthority:
    """The conformity body, with its key."""
    body = made.parties[cast.CB].credentials[Purpose.ATTRIBUTE]
    return AttributeAuthority(body.certificate, body.key, made.store, made.hierarchy.root.journal)


def claim(
    made: Ceremony,
    things: tuple[Thing, ...],
    kind: ClaimKind,
    service: Service,
    now_ms: int,
    *,
    site_id: str = cast.SITE,
) -> tuple[ClaimRegistered, bytes]:
    """A conformity body's attribute certificate about a thing or a pair, and the record that registers it."""
    named, functions = asked.claimed(service)
    content = ConformityClaims(
        things=things,
        claims=(
            Claim(
                standard=STANDARD,
                edition="2022",
                scheme=Scheme.TYPE_EXAMINATION,
                cert_number=f"CBX-{secrets.token_hex(4)}",
                services=frozenset({named}),
                regions=("FI",),
                max_charge_w=22_000,
                max_discharge_w=22_000,
                response_ms=900,
                functions=functions,
            ),
        ),
    )
    window = Window(now_ms, now_ms + 180 * 24 * cast.HOUR_MS)
    der = laboratory(made).issue_claim(content, window=window, now_ms=now_ms)
    registered = ClaimRegistered(
        claim_id=new_id("claim"),
        site_id=site_id,
        subject=kind,
        standard=STANDARD,
        functions=(service.value,),
        region="FI",
        issuer=cast.CB,
        not_before_ms=window.not_before_ms,
        not_after_ms=window.not_after_ms,
        claim_sha256=hashlib.sha256(der).hexdigest(),
        things=tuple(thing_digest(thing).hex() for thing in things),
    )
    return registered, der


def evse_thing(made: Ceremony, bay: Bay) -> Thing:
    """The EVSE of a bay."""
    return Thing(kind=ThingKind.EVSE, spki_sha256=station_spki(made, bay))


def car_thing(car: ec.EllipticCurvePrivateKey) -> Thing:
    """A car, known by its key and by nothing else."""
    return Thing(kind=ThingKind.EV, spki_sha256=spki(car))


def attachment(data: bytes, subject: str | None = None) -> SubmittedAttachment:
    """A document that goes along; with a subject it goes to the vault."""
    return SubmittedAttachment(data=data, subject=subject)


def contract(
    fsc_id: str,
    kind: ContractKind,
    terms: tuple[ServiceTerms, ...],
    *,
    fo: str = cast.FO,
    counterparty: str | None = None,
    evu: str | None = None,
    evse_ids: tuple[str, ...] | None = None,
    site_id: str = cast.SITE,
) -> ContractOffered:
    """A contract's text."""
    return ContractOffered(
        fsc_id=fsc_id,
        version=1,
        kind=kind,
        fo=fo,
        site_id=site_id,
        services=terms,
        opt=cast.OPT,
        mandatory_ack=True,
        valid_from_ms=cast.at(9),
        valid_to_ms=cast.at(9, day=30),
        purposes=("flexibility", "settlement"),
        counterparty=counterparty or UNSET,
        evu=evu or UNSET,
        evse_ids=evse_ids or UNSET,
    )


def request(
    fsr_id: str,
    params: Params,
    *,
    fsc_ids: tuple[str, ...],
    start_at_ms: int,
    end_at_ms: int,
    respond_by_ms: int,
    opt_deadline_ms: int,
    resolution_ms: int,
    mandate: Mandate | None = None,
    site_id: str = cast.SITE,
) -> RequestIssued:
    """A request's text."""
    return RequestIssued(
        fsr_id=fsr_id,
        site_id=site_id,
        fsc_ids=fsc_ids,
        obligation=Obligation.MANDATORY if mandate else Obligation.VOLUNTARY,
        mandate=mandate,
        params=params,
        respond_by_ms=respond_by_ms,
        opt_deadline_ms=opt_deadline_ms,
        start_at_ms=start_at_ms,
        end_at_ms=end_at_ms,
        evidence=Evidence(resolution_ms=resolution_ms),
    )


def congestion(
    start_at_ms: int,
    ordered_w: tuple[int, ...],
    step_ms: int = QUARTER_MS,
    *,
    point: str = cast.CONGESTION_POINT,
    direction: Direction = Direction.UP,
) -> CongestionParams:
    """So much less, or more, in each settlement period."""
    return CongestionParams(
        congestion_point=point,
        direction=direction,
        series=tuple(
            CongestionStep(start_at_ms=start_at_ms + n * step_ms, duration_ms=step_ms, ordered_w=each)
            for n, each in enumerate(ordered_w)
        ),
    )


def fast_response() -> FfrParams:
    """60 kW within a second of falling below 49.6 Hz, held for 30 s."""
    return FfrParams(
        f_trigger_millihertz=49_600,
        t_full_ms=1_000,
        support_ms=30_000,
        release_ppm_per_s=200_000,
        capacity_w=60_000,
        max_over_ppm=350_000,
        direction=Direction.UP,
        base_w=10_000,
    )


def droop() -> DroopParams:
    """P(f) of 11 kW over 0.4 Hz, outside a dead band of 0.1 Hz on each side."""
    corners = ((49_500, -11_000), (49_900, 0), (50_100, 0), (50_500, 11_000))
    return DroopParams(
        points=tuple(CurvePoint(freq_millihertz=freq, power_w=power) for freq, power in corners),
        response_time_ms=1_000,
        base_w=0,
        tolerance_w=550,
    )


def limit() -> LimitMandatoryParams:
    """The depot at 4.2 kW an EVSE within a minute."""
    return LimitMandatoryParams(import_cap_w=CAP_W, floor_w_per_evse=4_200, t_comply_ms=60_000)


def mandate(
    signer: IssuedKey,
    party: str,
    now_ms: int,
    until_ms: int,
    *,
    site_id: str = cast.SITE,
    cap_w: int = CAP_W,
) -> Mandate:
    """A directive for the site, signed by `party`, who had better be a system operator."""
    certificate = signer.certificate.public_bytes(Encoding.DER)
    directive = DirectiveGiven(
        directive_id=new_id("directive"),
        to=cast.FO,
        site_id=site_id,
        ground=Ground.GRID_STABILITY,
        legal_basis=LEGAL_BASIS,
        import_cap_w=cap_w,
        not_before_ms=now_ms,
        not_after_ms=until_ms,
    )
    signed = statement.sign(
        directive,
        key=signer.key,
        x5t=thumbprint(certificate),
        party=party,
        audience=cast.ORIGIN,
        stream=f"directive/{directive.directive_id}",
        now_ms=now_ms,
    )
    return Mandate(
        ground=Ground.GRID_STABILITY,
        legal_basis=LEGAL_BASIS,
        issuer=party,
        directive=signed.raw,
        directive_sha256=hashlib.sha256(signed.raw.encode()).hexdigest(),
        valid_until_ms=until_ms,
    )


def thumbprint(der: bytes) -> str:
    """`x5t#S256` of a certificate."""
    return jws.encode_base64url(hashlib.sha256(der).digest())
