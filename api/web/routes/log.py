"""/checkpoint, /tile, /v1/entries, /v1/proofs: the public log, immutable and cacheable, for anyone's verifier."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, PathParameter, QueryParameter
from litestar.response import Response

from api import wire
from api.flows import receipts, stamping
from api.flows.service import Service
from api.verification import cose_receipt, json_receipt
from api.web import conditional, schema
from api.web.identity import principal_of
from api.web.routes.taking import receipt
from ledger.records.canonical import MAX_INT
from ledger.records.entry import Entry
from ledger.tlog import proof as tlog_proof

TEXT = "text/plain"
OCTETS = "application/octet-stream"
BUNDLES = "tile/entries/"
RECEIPTS = (tlog_proof.MEDIA_TYPE, cose_receipt.MEDIA_TYPE)

Index = Annotated[int, PathParameter(ge=0, le=MAX_INT)]
Size = Annotated[int, QueryParameter(ge=0, le=MAX_INT)]


@get("/checkpoint", operation_id="checkpoint", tags=["log"], opt={schema.OPT_MEDIA: (TEXT,)})
async def checkpoint(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[bytes]:
    """The newest signed checkpoint (c2sp.org/tlog-checkpoint)."""
    note = await service.witnessing.shown()
    return conditional.respond(request, note, media_type=TEXT, cache_control=conditional.REVALIDATE)


@get("/tile/{path:path}", operation_id="tile", tags=["log"], opt={schema.OPT_MEDIA: (OCTETS,)})
async def tile(
    request: Request[Any, Any, Any], service: NamedDependency[Service], path: FromPath[str]
) -> Response[bytes]:
    """A tile or an entry bundle by its path (c2sp.org/tlog-tiles); a bundle in gzip where that is accepted."""
    name = f"tile{path}"
    data = service.reader.tile(name)
    cache = conditional.REVALIDATE if ".p/" in name else conditional.IMMUTABLE
    if name.startswith(BUNDLES):
        return await conditional.respond_packed(request, data, media_type=OCTETS, cache_control=cache)
    # Hashes do not compress.
    return conditional.respond(request, data, media_type=OCTETS, cache_control=cache)


@get("/v1/entries/{index:int}", operation_id="entry", tags=["log"], opt={schema.OPT_ANSWER: Entry})
async def entry(request: Request[Any, Any, Any], service: NamedDependency[Service], index: Index) -> Response[bytes]:
    """The bytes of one entry, exactly as they were hashed."""
    return conditional.respond(request, service.reader.entry(index), media_type=wire.JSON_MEDIA_TYPE)


@get("/v1/entries/{index:int}/receipt", operation_id="entry_receipt", tags=["log"], opt={schema.OPT_MEDIA: RECEIPTS})
async def entry_receipt(
    request: Request[Any, Any, Any], service: NamedDependency[Service], index: Index
) -> Response[bytes]:
    """The entry and its proof (c2sp.org/tlog-proof), or a COSE (RFC 9942) or JSON receipt where that is accepted.

    A JSON receipt costs as much as a bundle, so only who has a credential here gets one.
    """
    if json_receipt.MEDIA_TYPE in request.headers.get("accept", ""):
        made = await receipts.as_json(service, index, principal_of(request.scope))
        return Response(made, media_type=json_receipt.MEDIA_TYPE, headers={"cache-control": "private, no-store"})
    if cose_receipt.MEDIA_TYPE in request.headers.get("accept", ""):
        service.reader.entry(index)
        return Response(await receipts.cose(service, index), media_type=cose_receipt.MEDIA_TYPE)
    data = service.reader.entry(index)
    return Response(await receipt(service, index, extra=data), media_type=tlog_proof.MEDIA_TYPE)


@get("/v1/proofs/consistency", operation_id="consistency", tags=["log"])
async def consistency(service: NamedDependency[Service], old: Size, new: Size) -> wire.ConsistencyProof:
    """Proof that one tree is a prefix of another."""
    hashes = service.reader.consistency(old, new)
    return wire.ConsistencyProof(old_size=old, new_size=new, hashes=tuple(one.hex() for one in hashes))


@get("/v1/timestamps", operation_id="timestamps", tags=["log"])
async def timestamps(
    service: NamedDependency[Service], after: Size = 0, limit: Annotated[int, QueryParameter(ge=1, le=100)] = 10
) -> wire.Timestamps:
    """Checkpoints with more than `after` entries that a time-stamping authority stamped (RFC 3161), oldest first."""
    return wire.Timestamps(timestamps=stamping.shown(service.stamps, service.engines.store, after=after, limit=limit))


HANDLERS = (checkpoint, tile, entry, entry_receipt, consistency, timestamps)
