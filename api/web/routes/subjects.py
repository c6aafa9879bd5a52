"""/v1/subjects: the rights of one person, as the privacy officer carries them out.

Names of persons stand in bodies only, never in a path: paths are logged by whatever stands in between.
"""

from typing import Annotated, Any

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.response import Response

from api.flows.service import Service
from api.web import schema
from api.web.routes import body
from api.web.routes.officer import OFFICER, PRIVATE, Pseudonym
from api.wire import SubjectName
from ledger.privacy import disclosure_log
from ledger.records.canonical import MAX_INT
from ledger.records.marks import Category, shown_personal
from ledger.records.privacy import ErasureBasis, RefusalGround, RestrictionGround


class SubjectAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom it is about: a natural id, in any spelling."""

    subject: SubjectName


class ErasureAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to erase, and on which ground of GDPR Art. 17(1)."""

    subject: SubjectName
    basis: ErasureBasis


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """The tombstone, and where it stands."""

    handle: str
    root: str
    size: int
    index: int
    recipients_to_notify: int


class RestrictionAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose data is restricted, and on which ground of Art. 18(1)."""

    subject: SubjectName
    ground: RestrictionGround


class HoldAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose data is held, and on which exception of Art. 17(3)."""

    subject: SubjectName
    ground: RefusalGround


class RectificationAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which member of which entry says something wrong of the subject, and what is right."""

    subject: SubjectName
    index: Annotated[int, msgspec.Meta(ge=0, le=MAX_INT)]
    member: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)")]
    value: Annotated[Any, shown_personal(Category.BEHAVIOUR, "sensitive")]


class Restricted(msgspec.Struct, frozen=True, kw_only=True):
    """The handle under which the log tells of the restriction."""

    handle: str


class HoldShown(msgspec.Struct, frozen=True, kw_only=True):
    """The handle under which the log tells of the hold; null for one that was placed before the log told of holds."""

    handle: str | None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log tells of it."""

    index: int


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One export with the subject's data in it."""

    manifest_sha256: str
    recipient: str
    purpose: str
    profile: str
    pseudonym: Pseudonym
    at_ms: int


class Recipients(msgspec.Struct, frozen=True, kw_only=True):
    """Who received what of one subject, oldest first (Art. 15(1)(c))."""

    received: tuple[Received, ...]


@post(
    "/v1/subjects/erasure",
    operation_id="erase",
    tags=["privacy"],
    guards=OFFICER,
    status_code=201,
    opt={schema.OPT_BODY: ErasureAsked},
)
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


@post(
    "/v1/subjects/restriction",
    operation_id="restrict",
    tags=["privacy"],
    guards=OFFICER,
    status_code=201,
    opt={schema.OPT_BODY: RestrictionAsked},
)
async def restrict(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Restricted:
    """Nothing of the person is opened or exported from here on (Art. 18)."""
    service.witnessing.require_signing()
    asked = await body.read(request, RestrictionAsked)
    return Restricted(handle=await service.privacy.restrict(asked.subject, asked.ground))


@post(
    "/v1/subjects/restriction/lifting",
    operation_id="lift_restriction",
    tags=["privacy"],
    guards=OFFICER,
    status_code=201,
    opt={schema.OPT_BODY: SubjectAsked},
)
async def lift(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Restricted:
    """The restriction is over, and recorded as such before it is."""
    service.witnessing.require_signing()
    asked = await body.read(request, SubjectAsked)
    return Restricted(handle=await service.privacy.lift(asked.subject))


@post(
    "/v1/subjects/hold",
    operation_id="hold",
    tags=["privacy"],
    guards=OFFICER,
    status_code=201,
    opt={schema.OPT_BODY: HoldAsked},
)
async def hold(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> HoldShown:
    """Neither erasure nor retention touches the person's data (Art. 17(3)); a refused erasure is recorded."""
    asked = await body.read(request, HoldAsked)
    return HoldShown(handle=await service.privacy.hold(asked.subject, asked.ground))


@post(
    "/v1/subjects/hold/release",
    operation_id="release_hold",
    tags=["privacy"],
    guards=OFFICER,
    status_code=201,
    opt={schema.OPT_BODY: SubjectAsked},
)
async def release_hold(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> HoldShown:
    """The hold is over, recorded before it is; what outlived its retention under it goes with the next run."""
    asked = await body.read(request, SubjectAsked)
    return HoldShown(handle=await service.privacy.release_hold(asked.subject))


@post(
    "/v1/subjects/rectification",
    operation_id="rectify",
    tags=["privacy"],
    guards=OFFICER,
    status_code=201,
    opt={schema.OPT_BODY: RectificationAsked},
)
async def rectify(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Recorded:
    """Put right what one entry says of a person (Art. 16); a later entry says so, the earlier one stays."""
    service.witnessing.require_signing()
    asked = await body.read(request, RectificationAsked)
    done = await service.privacy.rectify(asked.subject, asked.index, asked.member, asked.value)
    return Recorded(index=done.index)


@post(
    "/v1/subjects/recipients",
    operation_id="recipients",
    tags=["privacy"],
    guards=OFFICER,
    status_code=200,
    opt={schema.OPT_BODY: SubjectAsked},
)
async def recipients(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[Recipients]:
    """Who received what of one person."""
    asked = await body.read(request, SubjectAsked)
    found = disclosure_log.of(service.engines.vault, asked.subject)
    shown = Recipients(
        received=tuple(
            Received(
                manifest_sha256=one.manifest_sha256,
                recipient=one.recipient,
                purpose=one.purpose,
                profile=one.profile,
                pseudonym=one.pseudonym,
                at_ms=one.at_ms,
            )
            for one in found
        )
    )
    return Response(shown, headers=PRIVATE)


HANDLERS = (
    erase,
    restrict,
    lift,
    hold,
    release_hold,
    rectify,
    recipients,
)
