"""/v1/exports, and a person's own copies: archives that are on record before they leave, sent as they are read."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, get, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.response import Stream

from api.flows.service import Service
from api.web import schema
from api.web.identity import require
from api.web.routes import body
from api.web.routes.officer import OFFICER, PRIVATE
from api.wire import SubjectName
from ledger.privacy.exports import sealing
from ledger.privacy.exports.writer import Release
from ledger.records.fields import PartyId
from ledger.records.privacy import Profile
from pki.roles import Role

ARCHIVE: str = "application/x-tar"
SEALED: str = "application/octet-stream"

Pem = Annotated[str, msgspec.Meta(max_length=2_048)]


class CopyAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose data, and the key to which the copy is sealed, if it is."""

    subject: SubjectName
    seal_to: Pem | None = None
    """Public X25519 key in PEM; the copy is then an HPKE ciphertext."""


class ExportAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By which policy, for whom; `profile` stands for the policy of that name in small letters."""

    recipient: PartyId
    policy: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$(?!\n)")] | None = None
    profile: Literal["SETTLEMENT", "RESEARCH"] | None = None
    """A subject's own access is no export to an organisation, and is not asked for here."""
    seal_to: Pem | None = None

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if (self.policy is None) is (self.profile is None):
            raise ValueError("policy or profile, one of them")


class PolicyShown(msgspec.Struct, frozen=True, kw_only=True):
    """One policy that is installed."""

    name: str
    version: int
    profile: str
    purpose: str
    legal_basis: str
    reviewed: str


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """Every policy by which exports can be made here."""

    policies: tuple[PolicyShown, ...]


@post(
    "/v1/subjects/access",
    operation_id="access",
    tags=["privacy"],
    guards=OFFICER,
    status_code=201,
    opt={schema.OPT_BODY: CopyAsked, schema.OPT_MEDIA: (ARCHIVE, SEALED)},
)
async def access(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Stream:
    """A person's own copy of everything (Art. 15), each row proven; recorded before it is released."""
    return await _copy(request, service, Profile.ACCESS)


@post(
    "/v1/subjects/portability",
    operation_id="portability",
    tags=["privacy"],
    guards=OFFICER,
    status_code=201,
    opt={schema.OPT_BODY: CopyAsked, schema.OPT_MEDIA: (ARCHIVE, SEALED)},
)
async def portability(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Stream:
    """What a person may take to another controller (Art. 20), machine-readable; recorded before it is released."""
    return await _copy(request, service, Profile.PORTABILITY)


@get("/v1/exports/policies", operation_id="export_policies", tags=["privacy"], guards=[require(Role.DPO, Role.AUD)])
async def export_policies(service: NamedDependency[Service]) -> Policies:
    """The policies by which exports can be made here."""
    return Policies(
        policies=tuple(
            PolicyShown(
                name=one.name,
                version=one.policy.version,
                profile=one.policy.profile.value,
                purpose=one.purpose.value,
                legal_basis=one.legal_basis.value,
                reviewed=one.reviewed,
            )
            for _, one in sorted(service.privacy.exports.policies.items())
        )
    )


@post(
    "/v1/exports",
    operation_id="export",
    tags=["privacy"],
    guards=OFFICER,
    status_code=201,
    opt={schema.OPT_BODY: ExportAsked, schema.OPT_MEDIA: (ARCHIVE, SEALED)},
)
async def export(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Stream:
    """Make an export by a policy; it is on record before it is released."""
    service.witnessing.require_signing()
    asked = await body.read(request, ExportAsked)
    policy = asked.policy or str(asked.profile).lower()
    key = None if asked.seal_to is None else sealing.public_key(asked.seal_to.encode())
    made = await service.privacy.release(policy, asked.recipient, seal_to=key)
    return _sent(made, is_sealed=key is not None)


async def _copy(request: Request[Any, Any, Any], service: Service, profile: Profile) -> Stream:
    service.witnessing.require_signing()
    asked = await body.read(request, CopyAsked)
    key = None if asked.seal_to is None else sealing.public_key(asked.seal_to.encode())
    return _sent(await service.privacy.copy_for(asked.subject, profile, seal_to=key), is_sealed=key is not None)


def _sent(release: Release, *, is_sealed: bool) -> Stream:
    headers = {
        "flexledger-manifest-sha256": release.manifest_sha256,
        "content-length": str(release.size),
        **PRIVATE,
    }
    return Stream(
        _pieces(release),
        status_code=201,
        media_type=SEALED if is_sealed else ARCHIVE,
        headers=headers,
        # Also where the recipient went away before the first piece.
        background=BackgroundTask(release.close),
    )


async def _pieces(release: Release) -> AsyncIterator[bytes]:
    try:
        for piece in release.pieces():
            yield piece
            await asyncio.sleep(0)
    finally:
        release.close()


HANDLERS = (
    access,
    portability,
    export_policies,
    export,
)
