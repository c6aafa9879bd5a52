"""/v1/requests/{id}/record and the privacy officer's resources: evidence out, persons erased, exports made."""

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Response

from api import wire
from api.flows import bundle
from api.flows.service import Service
from api.flows.standing import SEES_PERSONS, require_concerned
from api.web.identity import principal_of, require
from api.web.routes import body
from ledger.records.fields import PartyId
from ledger.records.privacy import ErasureBasis, Profile
from pki.roles import Role


class ErasureAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to erase, and on which ground of GDPR Art. 17(1)."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    basis: ErasureBasis


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """The tombstone, and where it stands."""

    handle: str
    root: str
    size: int
    index: int
    recipients_to_notify: int


class ExportAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which export, for whom."""

    profile: Literal["SETTLEMENT", "RESEARCH"]
    """A subject's own access is no export to an organisation, and is not asked for here."""
    recipient: PartyId


@get(
    "/v1/requests/{fsr_id:str}/record",
    operation_id="bundle",
    tags=["evidence"],
    guards=[require(Role.FO, Role.CSO, Role.AUD)],
)
async def record(
    request: Request[Any, Any, Any], service: NamedDependency[Service], fsr_id: FromPath[str]
) -> Response[bytes]:
    """Everything needed to verify one request offline, with the disclosures that the vault still has.

    A flexibility operator gets it without what is about persons: under a mandate they are nobody's contract holders,
    and its own holders' data are settled from exports.
    """
    principal = principal_of(request.scope)
    require_concerned(service.desk, fsr_id, principal)
    note = await service.witnessing.shown()
    data = bundle.build(
        service.desk,
        service.memory,
        service.reader,
        fsr_id,
        checkpoint_note=note,
        witnesses=() if service.witnessing.policy is None else service.witnessing.policy.verifiers,
        with_persons=principal.role in SEES_PERSONS,
        stamps=service.stamps,
    )
    return Response(data, media_type=wire.JSON_MEDIA_TYPE, headers={"cache-control": "private, no-store"})


@post("/v1/subjects/erasure", operation_id="erase", tags=["privacy"], guards=[require(Role.DPO)], status_code=201)
async def erase(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Erased:
    """Erase one person; every proof in the log still verifies."""
    asked = await body.read(request, ErasureAsked)
    done = await service.privacy.erase(asked.subject, asked.basis)
    return Erased(
        handle=done.handle,
        root=done.root,
        size=done.size,
        index=done.index,
        recipients_to_notify=len(done.notices),
    )


@post("/v1/exports", operation_id="export", tags=["privacy"], guards=[require(Role.DPO)], status_code=201)
async def export(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[bytes]:
    """Make an export; it is on record before it is released."""
    service.witnessing.require_signing()
    asked = await body.read(request, ExportAsked)
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        released = await service.privacy.export(Path(folder) / "export.tar", Profile(asked.profile), asked.recipient)
        data = released.path.read_bytes()
    headers = {"flexledger-manifest-sha256": released.manifest_sha256, "cache-control": "private, no-store"}
    return Response(data, status_code=201, media_type="application/x-tar", headers=headers)


HANDLERS = (record, erase, export)
