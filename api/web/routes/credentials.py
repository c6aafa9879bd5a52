"""/v1/credentials: what was issued, and to revoke it; and invitations to enrol."""

from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Response

from api import wire
from api.flows import office_view
from api.flows.enrolment import Enrolment
from api.flows.office import Office
from api.flows.office_errors import InvitationNotFound, OfficeAbsent
from api.flows.office_view import CredentialPage, CredentialView
from api.flows.service import Service
from api.web import schema
from api.web.errors import RoleNotAllowed
from api.web.identity import principal_of, require
from api.web.limits import DEFAULT_PAGE, PageSize
from api.web.routes import body
from pki.profiles import HOUR_MS
from pki.roles import Purpose, Role
from pki.store.codes import CodeUnknown, Invitation
from pki.store.listing import Sought
from pki.store.records import Reason

READERS = tuple(role for role in Role if role is not Role.SO)
"""Every role that has credentials for connections."""
OWN_REASONS = frozenset(Reason) - {Reason.CA_COMPROMISE}
"""Why a party may revoke its own: what befell an authority, it does not know."""

After = Annotated[int, QueryParameter(ge=0, le=2**53 - 1, description="`next` of the page before.")]
ByParty = Annotated[str | None, QueryParameter(max_length=64, description="Of this party alone.")]
ByRole = Annotated[Role | None, QueryParameter(description="Of this role alone.")]
ByPurpose = Annotated[Purpose | None, QueryParameter(description="Of this purpose alone.")]
ByRevoked = Annotated[bool | None, QueryParameter(description="Only those that were, or were not, revoked.")]
ByEnd = Annotated[int | None, QueryParameter(ge=0, le=2**48, description="Only those that end before this time.")]


class RevocationAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a credential is to be revoked, for ever."""

    reason: Reason
    invalid_from_ms: Annotated[int, msgspec.Meta(ge=0, le=2**48)] | None = None
    """From when its key was not to be trusted any more, for the operator to say: it casts doubt on what was signed."""


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    """The code, which is shown this once, and what it is good for."""

    code: str
    role: Role
    party_id: str
    purposes: tuple[Purpose, ...]
    expires_at_ms: int


class OpenInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """A code that is still good. `id` is its half before the colon, which alone is worth nothing."""

    id: str
    role: Role
    party_id: str
    station_id: str | None
    purposes: tuple[Purpose, ...]
    expires_at_ms: int


class OpenInvitations(msgspec.Struct, frozen=True, kw_only=True):
    """The codes that are still good for something, in the order of their ends."""

    invitations: tuple[OpenInvitation, ...]


class InvitationAsked(Invitation, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to be invited, and for how long the code is good."""

    party_id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    lifetime_hours: Annotated[int, msgspec.Meta(ge=1, le=2_160)] | None = None


@get("/v1/credentials", operation_id="list_credentials", tags=["credentials"], guards=[require(*READERS)])
async def list_credentials(
    request: Request[Any, Any, Any],
    service: NamedDependency[Service],
    limit: PageSize = DEFAULT_PAGE,
    after: After = 0,
    party: ByParty = None,
    role: ByRole = None,
    purpose: ByPurpose = None,
    revoked: ByRevoked = None,
    ends_before_ms: ByEnd = None,
) -> CredentialPage:
    """The credentials that this office issued or adopted: all for the operator and auditors, a party its own."""
    sought = Sought(role=role, party_id=party, purpose=purpose, is_revoked=revoked, ending_before_ms=ends_before_ms)
    return office_view.page(_office(service), principal_of(request.scope), sought, after=after, limit=limit)


@get("/v1/credentials/{name:str}", operation_id="read_credential", tags=["credentials"], guards=[require(*READERS)])
async def read_credential(
    request: Request[Any, Any, Any], service: NamedDependency[Service], name: FromPath[str]
) -> CredentialView:
    """One credential by `issuer key.serial number`, with its certificate and where the log tells of it."""
    office, principal = _office(service), principal_of(request.scope)
    return office_view.view(office, office_view.one(office, principal, name), principal, whole=True)


@post(
    "/v1/credentials/{name:str}/revocation",
    operation_id="revoke_credential",
    tags=["credentials"],
    guards=[require(*(role for role in READERS if role is not Role.AUD))],
    status_code=201,
    opt={schema.OPT_BODY: RevocationAsked},
)
async def revoke_credential(
    request: Request[Any, Any, Any], service: NamedDependency[Service], name: FromPath[str]
) -> CredentialView:
    """Revoke it for ever: the operator any, a party its own. Its connections end, and nobody accepts it from now on."""
    office, principal = _office(service), principal_of(request.scope)
    asked = await body.read(request, RevocationAsked)
    if principal.role is not Role.OPS:
        _require_own_to_say(asked, principal.role)
    held = office_view.one(office, principal, name)
    office_view.require_revocable(office, principal, held.issued)
    await office.revoke(held.issued, asked.reason, invalid_from_ms=asked.invalid_from_ms)
    return office_view.view(office, office_view.one(office, principal, name), principal)


@post(
    "/v1/credentials/invitations",
    operation_id="invite",
    tags=["enrolment"],
    guards=[require(Role.OPS)],
    status_code=201,
    opt={schema.OPT_BODY: InvitationAsked},
)
async def invite(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[Invited]:
    """A one-time code with which a party fetches its first credentials; it is shown in this answer and never again."""
    enrolment = _enrolment(service)
    asked = await body.read(request, InvitationAsked)
    lifetime_ms = None if asked.lifetime_hours is None else asked.lifetime_hours * HOUR_MS
    plain = Invitation(**{field: getattr(asked, field) for field in Invitation.__struct_fields__})
    code, invitation, expires_at_ms = enrolment.invite(plain, lifetime_ms=lifetime_ms)
    invited = Invited(
        code=code,
        role=invitation.role,
        party_id=invitation.party_id,
        purposes=invitation.purposes,
        expires_at_ms=expires_at_ms,
    )
    return Response(invited, status_code=201, media_type=wire.JSON_MEDIA_TYPE, headers={"cache-control": "no-store"})


@get("/v1/credentials/invitations", operation_id="list_invitations", tags=["enrolment"], guards=[require(Role.OPS)])
async def list_invitations(service: NamedDependency[Service]) -> OpenInvitations:
    """The codes that are still good for something: for whom, for what, until when; not the codes themselves."""
    found = (
        OpenInvitation(
            id=one.id,
            role=one.invitation.role,
            party_id=one.invitation.party_id,
            station_id=one.invitation.station_id,
            purposes=one.purposes,
            expires_at_ms=one.expires_at_ms,
        )
        for one in _enrolment(service).open_codes()
    )
    return OpenInvitations(invitations=tuple(found))


@delete(
    "/v1/credentials/invitations/{name:str}",
    operation_id="withdraw_invitation",
    tags=["enrolment"],
    guards=[require(Role.OPS)],
    status_code=204,
)
async def withdraw_invitation(service: NamedDependency[Service], name: FromPath[str]) -> None:
    """The code with this id, its half before the colon, is good for nothing any more."""
    try:
        await _enrolment(service).withdraw(name)
    except CodeUnknown:
        raise InvitationNotFound("there is no such code, or it is not good any more") from None


def _require_own_to_say(asked: RevocationAsked, role: Role) -> None:
    """A party does not say what befell an authority, nor, for it could take back its word, that it signed in vain."""
    if asked.reason not in OWN_REASONS:
        raise RoleNotAllowed("the reason is for the operator to give", expected=Role.OPS, found=role.value)
    if asked.invalid_from_ms is not None:
        raise RoleNotAllowed("an invalidity date is for the operator to give", expected=Role.OPS, found=role.value)


def _office(service: Service) -> Office:
    if service.office is None:
        raise OfficeAbsent("this service issues no credentials")
    return service.office


def _enrolment(service: Service) -> Enrolment:
    if service.enrolment is None:
        raise OfficeAbsent("this service issues no credentials")
    return service.enrolment


HANDLERS = (list_credentials, read_credential, revoke_credential, invite, list_invitations, withdraw_invitation)
