"""/v1/statements: many statements in one request, and the exact bytes to sign for those whose keys are elsewhere."""

import asyncio
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency

from api import wire
from api.flows.errors import TypeNotTaken
from api.flows.service import Service
from api.principals import Principal
from api.web import problems, schema
from api.web.errors import RoleNotAllowed
from api.web.identity import principal_of, require
from api.web.limits import Batches
from api.web.routes import body
from api.web.routes.taking import TAKEN
from ledger.records import canonical, registry, statement
from ledger.records.statement import Draft
from pki.roles import Role

WRITERS: Final = (Role.FO, Role.CSO, Role.CSP, Role.EVU, Role.AUD)
SLICE: Final = 32
"""Statements that are opened before others get a turn: a signature takes a fifth of a millisecond."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record in clear, to be signed elsewhere; `x5t` is the SHA-256 of the signing certificate, base64url."""

    type: Annotated[str, msgspec.Meta(max_length=48)]
    version: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    stream: Annotated[str, msgspec.Meta(max_length=128)]
    record: dict[str, Any]
    x5t: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{43}$")]
    algorithm: Annotated[str, msgspec.Meta(pattern="^(ES256|EdDSA)$")] = "ES256"
    exp_prev: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    actor_seq: Annotated[int, msgspec.Meta(ge=1, le=canonical.MAX_INT)] | None = None


class PreparedDisclosure(msgspec.Struct, frozen=True, kw_only=True):
    """A personal member, salted; it goes beside the statement with whom it is about."""

    name: str
    text: str


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """Sign `signing_input` (ASCII); the statement is it, a dot, and the signature in base64url (RFC 7515)."""

    signing_input: str
    jti: str
    stream: str
    disclosures: tuple[PreparedDisclosure, ...]


@post(
    "/v1/statements",
    operation_id="take_statements",
    tags=["statements"],
    guards=[require(*WRITERS)],
    status_code=200,
    opt={schema.OPT_BODY: wire.SubmissionBatch},
)
async def take_statements(
    request: Request[Any, Any, Any], service: NamedDependency[Service], batches: NamedDependency[Batches]
) -> wire.BatchOutcome:
    """Take up to 1,000 signed statements of any kind; they share a commit where they can.

    Those of one stream are written in the order in which they stand. Each is judged by itself, by what is in the log
    when it is opened: one that needs another of the same batch to be in force first is better sent after it.
    """
    principal = principal_of(request.scope)
    service.witnessing.require_signing()
    batch = await body.read(request, wire.SubmissionBatch)
    with batches.taking(principal, len(batch.statements)):
        outcomes = await _take_all(service, principal, batch)
    return wire.BatchOutcome(accepted=sum(one.accepted is not None for one in outcomes), outcomes=tuple(outcomes))


async def _take_all(service: Service, principal: Principal, batch: wire.SubmissionBatch) -> list[wire.Outcome]:
    tasks: list[asyncio.Task[wire.Outcome]] = []
    async with asyncio.TaskGroup() as group:
        for place, one in enumerate(batch.statements):
            shared = msgspec.structs.replace(one, certificates=(*batch.certificates, *one.certificates))
            tasks.append(group.create_task(_take(service, principal, shared)))
            if place % SLICE == SLICE - 1:
                await asyncio.sleep(0)
    return [task.result() for task in tasks]


async def _take(service: Service, principal: Principal, submitted: wire.Submission) -> wire.Outcome:
    try:
        parsed = statement.parse_statement(submitted.statement)
        kind = type(parsed.record)
        taking = TAKEN.get(kind)
        if taking is None:
            raise TypeNotTaken("no resource takes such statements", found=kind.TYPE)
        if principal.role not in taking.roles:
            raise RoleNotAllowed(
                "the resource is for other roles",
                expected=", ".join(sorted(taking.roles)),
                found=principal.role.value,
            )
        opened = service.desk.open_parsed(parsed, submitted, principal, kind)
        accepted = await taking.flow(service, opened, principal)
    except problems.ROOTS as error:
        status, problem = problems.to_problem(error)
        return wire.Outcome(status=status, problem=problem)
    return wire.Outcome(status=200 if accepted.duplicate else 201, accepted=accepted)


@post(
    "/v1/statements/prepare",
    operation_id="prepare_statement",
    tags=["statements"],
    guards=[require(*WRITERS)],
    status_code=200,
    opt={schema.OPT_BODY: Asked},
)
async def prepare_statement(request: Request[Any, Any, Any], service: NamedDependency[Service]) -> Prepared:
    """The exact bytes to sign for a record, for those whose key is in a token or another program.

    Personal members leave salted digests in it and come back as disclosures. Nothing is kept here: the caller checks
    what it signs, as it would check a form that somebody else filled in.
    """
    principal = principal_of(request.scope)
    asked = await body.read(request, Asked)
    kind = registry.kind(asked.type, asked.version)
    draft = Draft(
        record=canonical.convert(asked.record, kind, asked.type),
        x5t=asked.x5t,
        party=principal.party,
        audience=service.settings.origin,
        stream=asked.stream,
        exp_prev=asked.exp_prev,
        actor_seq=asked.actor_seq,
    )
    made = statement.prepare(draft, algorithm=asked.algorithm, now_ms=service.desk.clock.now_ms())
    return Prepared(
        signing_input=made.signing_input,
        jti=made.jti,
        stream=made.stream,
        disclosures=tuple(PreparedDisclosure(name=one.name, text=one.text) for one in made.disclosures),
    )


HANDLERS = (take_statements, prepare_statement)
