"""/v1/requests/{id}/record and the privacy officer's resources: evidence out, persons erased, exports made."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Response

from api import wire
from api.flows import bundle
from api.flows.service import Service
from api.flows.standing import SEES_PERSONS, require_concerned
from api.verification.bundle_format import Bundle
from api.web import schema
from api.web.identity import principal_of, require
from pki.roles import Role


@get(
    "/v1/requests/{fsr_id:str}/record",
    operation_id="bundle",
    tags=["evidence"],
    guards=[require(Role.FO, Role.CSO, Role.AUD)],
    opt={schema.OPT_ANSWER: Bundle},
)
async def record(
    request: Request[Any, Any, Any], service: NamedDependency[Service], fsr_id: FromPath[str]
) -> Response[bytes]:
    """Everything to verify one request offline, with the disclosures that the vault has and the caller may see.

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


HANDLERS = (record,)
