"""/v1/subjects and what else the privacy officer does: a person's rights, exports, retention, notices.

Names of persons stand in bodies only, never in a path: paths are logged by whatever stands in between.
"""

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal

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
from api.wire import SubjectName
from ledger.privacy import disclosure_log, processing
from ledger.privacy.erasure_receipt import EntryReceipt
from ledger.privacy.exports import sealing
from ledger.privacy.exports.writer import Released
from ledger.records.canonical import MAX_INT
from ledger.records.fields import PartyId
from ledger.records.marks import Category, shown_personal
from ledger.records.privacy import ErasureBasis, Profile, RefusalGround, RestrictionGround
from pki.roles import Role

ARCHIVE: str = "application/x-tar"
SEALED: str = "application/octet-stream"

Pseudonym = Annotated[str, shown_personal(Category.IDENTITY, "direct")]
Pem = Annotated[str, msgspec.Meta(max_length=2_048)]
Index = Annotated[int, PathParameter(ge=0, le=MAX_INT)]
Number = Annotated[int, PathParameter(ge=1, le=MAX_INT)]
Ms = Annotated[int, msgspec.Meta(ge=0, le=2**48)]


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


class CopyAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose data, and the key to which the copy is sealed, if it is."""

    subject: SubjectName
    seal_to: Pem | None = None
    """Public X25519 key in PEM; the copy is then an HPKE ciphertext."""


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


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log tells of it."""

    index: int


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It was done; the log has nothing to say of it."""

    done: bool = True


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


OFFICER = [require(Role.DPO)]


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
    "/v1/subjects/access",
    operation_id="access",
    tags=["privacy"],
    guards=OFFICER,
    status_code=201,
    opt={schema.OPT_BODY: CopyAsked, schema.OPT_MEDIA: (ARCHIVE, SEALED)},
)
async def access(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[bytes]:
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
async def portability(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[bytes]:
    """What a person may take to another controller (Art. 20), machine-readable; recorded before it is released."""
    return await _copy(request, service, Profile.PORTABILITY)


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
async def hold(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Done:
    """Neither erasure nor retention touches the person's data (Art. 17(3)); a refused erasure is recorded."""
    asked = await body.read(request, HoldAsked)
    service.privacy.hold(asked.subject, asked.ground)
    return Done()


@post(
    "/v1/subjects/hold/release",
    operation_id="release_hold",
    tags=["privacy"],
    guards=OFFICER,
    status_code=201,
    opt={schema.OPT_BODY: SubjectAsked},
)
async def release_hold(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Done:
    """The hold is over; what outlived its retention under it goes with the next run."""
    asked = await body.read(request, SubjectAsked)
    service.privacy.release_hold(asked.subject)
    return Done()


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
async def export(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Response[bytes]:
    """Make an export by a policy; it is on record before it is released."""
    service.witnessing.require_signing()
    asked = await body.read(request, ExportAsked)
    policy = asked.policy or str(asked.profile).lower()
    key = None if asked.seal_to is None else sealing.public_key(asked.seal_to.encode())
    return await _released(
        lambda path: service.privacy.release(path, policy, asked.recipient, seal_to=key), is_sealed=key is not None
    )


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


PRIVATE = {"cache-control": "private, no-store"}


async def _copy(request: Request[Any, Any, Any], service: Service, profile: Profile) -> Response[bytes]:
    service.witnessing.require_signing()
    asked = await body.read(request, CopyAsked)
    key = None if asked.seal_to is None else sealing.public_key(asked.seal_to.encode())
    return await _released(
        lambda path: service.privacy.copy_for(path, asked.subject, profile, seal_to=key), is_sealed=key is not None
    )


async def _released(make: Callable[[Path], Awaitable[Released]], *, is_sealed: bool) -> Response[bytes]:
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        released = await make(Path(folder) / "export")
        data = released.path.read_bytes()
    headers = {"flexledger-manifest-sha256": released.manifest_sha256, **PRIVATE}
    return Response(data, status_code=201, media_type=SEALED if is_sealed else ARCHIVE, headers=headers)


HANDLERS = (
    erase,
    access,
    portability,
    restrict,
    lift,
    hold,
    release_hold,
    rectify,
    recipients,
    export_policies,
    export,
    expire,
    notices,
    notice_sent,
    erasure_receipt,
    work,
    rotate_keys,
    records_of_processing,
    breach_scope,
)
