"""The OpenAPI document says what the service does: closed objects, its own problems, and who may ask."""

from typing import Annotated, Any

import msgspec
import pytest
from litestar import Request, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Response

from api import wire
from api.settings import Limits
from api.web import assembly, schema
from api.web.identity import Identity, require
from api.web.routes.taking import TAKEN
from ledger.records import record
from ledger.records.marks import Category, shown_personal
from pki.clock import SetClock
from pki.credential import Credential
from pki.roles import Role
from tests.support import reference


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    power_w: int


class Outer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    inner: tuple[Inner, ...]


class Open(msgspec.Struct, frozen=True, kw_only=True):
    index: int


@post("/things/{thing:str}", guards=[require()], sync_to_thread=False)
def things(thing: FromPath[str], data: JSONBody[Outer]) -> Open:
    """Takes a thing."""
    return Open(index=len(thing) + len(data.inner))


@post("/statements", guards=[require(Role.FO)], opt={schema.OPT_BODY: wire.Submission})
async def statements(request: Request[Any, Any, Any]) -> Response[Open]:
    """Takes a statement."""
    return Response(Open(index=len(await request.body())))


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    person: Annotated[str, shown_personal(Category.IDENTITY, "direct")] | None
    power_w: int


@get("/answered", sync_to_thread=False)
def answered() -> Answered:
    """Says who it was."""
    return Answered(person=None, power_w=0)


@get("/public", sync_to_thread=False)
def public() -> Open:
    """Says an index."""
    return Open(index=0)


def _document() -> dict[str, Any]:
    def authenticate(_: bytes) -> Credential:
        raise AssertionError("nobody calls")

    made = assembly.assemble(
        [things, statements, public, answered],
        identity=Identity(authenticate, epoch=lambda: 0, clock=SetClock(0)),
        limits=Limits(),
        version="1.2.3",
    )
    return schema.document(made.framework)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return _document()


def test_structs_that_refuse_unknown_members_are_closed_however_deep(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Outer"]["additionalProperties"] is False
    assert schemas["Inner"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["Open"]


def test_every_failure_is_a_problem_and_nothing_else_is_promised(document: dict[str, Any]) -> None:
    for item in document["paths"].values():
        for operation in item.values():
            failures = {status for status in operation["responses"] if not status.startswith("2")}
            assert failures == {"default"}
            content = operation["responses"]["default"]["content"]
            assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert {"type", "title", "status", "code"} <= set(document["components"]["schemas"]["Problem"]["properties"])


def test_guarded_operations_name_the_scheme_and_the_roles(document: dict[str, Any]) -> None:
    paths = document["paths"]
    assert document["components"]["securitySchemes"]["mutualTLS"]["type"] == "mutualTLS"
    assert paths["/things/{thing}"]["post"]["x-roles"] == ["any"]
    assert paths["/statements"]["post"]["x-roles"] == ["FO"]
    assert paths["/statements"]["post"]["security"] == [{"mutualTLS": []}]
    assert "security" not in paths["/public"]["get"]


def test_a_body_that_a_handler_reads_itself_is_described_too(document: dict[str, Any]) -> None:
    body = document["paths"]["/statements"]["post"]["requestBody"]
    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Submission"}
    schemas = document["components"]["schemas"]
    assert schemas["Submission"]["additionalProperties"] is False
    assert schemas["SubmittedDisclosure"]["additionalProperties"] is False


def test_the_services_own_document_describes_every_body_answer_and_personal_member() -> None:
    whole = reference.openapi()
    without_body = {("/pki/ocsp", "post")}  # DER, which is no JSON
    for path, item in whole["paths"].items():
        for method, operation in item.items():
            reads = method == "post" and "requestBody" not in operation
            if reads and (path, method) not in without_body:
                assert "Submission" not in str(operation), path
            for status, answer in operation["responses"].items():
                told = answer.get("content", {}).get("application/json", {}).get("schema", {})
                assert told.get("type") != "string", (path, method, status)
    records = {
        one["$ref"].rpartition("/")[2]
        for item in whole["paths"].values()
        for operation in item.values()
        for one in operation.get("x-records", ())
    }
    assert records == {kind.__name__ for kind in TAKEN}
    schemas = whole["components"]["schemas"]
    for kind in TAKEN:
        known = record.personal_marks(kind)
        own = {one.encode_name for one in record.personal_fields(kind)}
        for name, member in schemas[kind.__name__]["properties"].items():
            if name == "_sd":
                continue
            told = [one["x-personal-data"] for one in (member, *member.get("anyOf", ())) if "x-personal-data" in one]
            if name in own:
                assert [one["category"] for one in told] == [known[name].category.value], (kind, name)
            else:
                assert not any(told), (kind, name)


def test_every_reference_in_the_document_leads_somewhere(document: dict[str, Any]) -> None:
    text = msgspec.json.encode(document).decode()
    names = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert names <= set(document["components"]["schemas"])


def test_the_same_routes_give_the_same_document(document: dict[str, Any]) -> None:
    assert _document() == document
    assert document["info"]["version"] == "1.2.3"


async def test_what_is_personal_in_a_body_or_an_answer_is_marked() -> None:
    """`x-personal-data`, as in the records' own schemas."""
    found = _document()["components"]["schemas"]
    direct = {"category": "identity", "kind": "direct"}
    submitted = found["SubmittedDisclosure"]["properties"]
    assert marked(submitted["subject"]) == marked(found["SubmittedAttachment"]["properties"]["subject"]) == direct
    assert marked(submitted["text"]) == {"category": "behaviour", "kind": "sensitive"}
    assert found["Answered"]["properties"]["person"]["x-personal-data"] == direct
    assert "x-personal-data" not in found["Answered"]["properties"]["power_w"]


def marked(member: dict[str, Any]) -> Any:
    """The mark of a member, or of what it may be beside null."""
    return next(one["x-personal-data"] for one in (member, *member.get("anyOf", ())) if "x-personal-data" in one)
