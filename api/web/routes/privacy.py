"""What the privacy officer does for everybody at once: retention, notices, keys, papers."""

from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter
from litestar.response import Response

from api.flows.progress import Step
from api.flows.service import Service
from api.web import schema
from api.web.identity import require
from api.web.routes import body
from api.web.routes.officer import OFFICER, PRIVATE, Done, Pseudonym
from ledger.privacy import processing
from ledger.privacy.erasure_receipt import EntryReceipt
from ledger.records.canonical import MAX_INT
from pki.roles import Role

Index = Annotated[int, PathParameter(ge=0, le=MAX_INT)]
Number = Annotated[int, PathParameter(ge=1, le=MAX_INT)]
Ms = Annotated[int, msgspec.Meta(ge=0, le=2**48)]


class Expired(msgspec.Struct, frozen=True, kw_only=True):
    """The tombstones of months that were kept long enough."""

    tombstones: tuple[int, ...]


class NoticeShown(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient to be told of an erasure (Art. 19), under the pseudonym that this recipient knows."""

    number: int
    handle: str
    recipient: str
    purpose: str
    manifest_sha256: str
    pseudonym: Pseudonym


class Notices(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody who is still to be told."""

    notices: tuple[NoticeShown, ...]


class WorkShown(msgspec.Struct, frozen=True, kw_only=True):
    """What is under way, and how far it is."""

    steps: tuple[Step, ...]


class RotationAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the older epochs are destroyed, and whether a backup was made and tested elsewhere."""

    destroy: bool = False
    is_backed_up: bool = False


class RotationDone(msgspec.Struct, frozen=True, kw_only=True):
    """The epoch in force, how many keys of the tested copy opened, and the epochs that are gone."""

    epoch: int
    keys_in_backup: int | None
    destroyed: tuple[int, ...]


class BreachAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The scope that is asked for: the whole vault, or what one recipient was given in a window."""

    recipient: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    from_ms: Ms | None = None
    until_ms: Ms | None = None


@post("/v1/retention/runs", operation_id="expire", tags=["privacy"], guards=OFFICER, status_code=201)
async def expire(service: NamedDependency[Service]) -> Expired:
    """Let every month expire whose retention class says so, for everybody but who is held."""
    receipts = await service.privacy.expire()
    return Expired(tombstones=tuple(one.index for one in receipts))


@get("/v1/notices", operation_id="notices", tags=["privacy"], guards=OFFICER)
async def notices(service: NamedDependency[Service]) -> Response[Notices]:
    """Which recipients are still to be told of which erasure (Art. 19)."""
    shown = Notices(
        notices=tuple(
            NoticeShown(
                number=one.number,
                handle=one.handle,
                recipient=one.recipient,
                purpose=one.purpose,
                manifest_sha256=one.manifest_sha256,
                pseudonym=one.pseudonym,
            )
            for one in service.privacy.eraser.notices()
        )
    )
    return Response(shown, headers=PRIVATE)


@post("/v1/notices/{number:int}/sent", operation_id="notice_sent", tags=["privacy"], guards=OFFICER, status_code=201)
async def notice_sent(service: NamedDependency[Service], number: Number) -> Done:
    """The recipient was told; the pseudonym is forgotten here too."""
    service.privacy.eraser.notice_sent(number)
    return Done()


@get(
    "/v1/entries/{index:int}/erasure-receipt",
    operation_id="erasure_receipt",
    tags=["privacy"],
    guards=[require(Role.DPO, Role.AUD)],
)
async def erasure_receipt(service: NamedDependency[Service], index: Index) -> Response[EntryReceipt]:
    """What of one entry was erased, each digest with its place under a tombstone; nothing of any other entry."""
    return Response(service.privacy.receipt(index), headers=PRIVATE)


@get("/v1/privacy/work", operation_id="privacy_work", tags=["privacy"], guards=[require(Role.DPO, Role.OPS)])
async def work(service: NamedDependency[Service]) -> WorkShown:
    """Long work that is under way, and how far it is."""
    return WorkShown(steps=service.privacy.work.steps())


@post(
    "/v1/privacy/key-rotations",
    operation_id="rotate_keys",
    tags=["privacy"],
    guards=[require(Role.OPS)],
    status_code=201,
    opt={schema.OPT_BODY: RotationAsked},
)
async def rotate_keys(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> RotationDone:
    """Wrap every key under a new epoch, test a backup, destroy the old epochs: older backups are dead then."""
    service.witnessing.require_signing()
    asked = await body.read(request, RotationAsked)
    done = await service.privacy.rotate_keys(
        backup=service.settings.vault.backup_dir, is_backed_up=asked.is_backed_up, destroy=asked.destroy
    )
    return RotationDone(epoch=done.epoch, keys_in_backup=done.keys_in_backup, destroyed=done.destroyed)


@get("/v1/records-of-processing", operation_id="records_of_processing", tags=["privacy"], guards=OFFICER)
async def records_of_processing(service: NamedDependency[Service]) -> dict[str, Any]:
    """The record of processing activities (Art. 30), as far as this software knows it."""
    policies = service.privacy.exports.policies.values()
    return processing.record_of_processing(service.desk.me.party, policies)


@post(
    "/v1/breach-scope",
    operation_id="breach_scope",
    tags=["privacy"],
    guards=OFFICER,
    status_code=200,
    opt={schema.OPT_BODY: BreachAsked},
)
async def breach_scope(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[dict[str, Any]]:
    """What a breach could have reached (Art. 33(3)): counts by category, and exports; never a name."""
    asked = await body.read(request, BreachAsked)
    found = processing.breach_scope(
        service.engines.vault, recipient=asked.recipient, from_ms=asked.from_ms, until_ms=asked.until_ms
    )
    return Response(found, headers=PRIVATE)


HANDLERS = (
    expire,
    notices,
    notice_sent,
    erasure_receipt,
    work,
    rotate_keys,
    records_of_processing,
    breach_scope,
)
