"""What travels between a client and the service, the same Structs on both sides (docs/spec has the JSON).

Nothing here is authenticated; a submission becomes a statement in `ledger.records.statement`.
"""

import re
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from api.errors import Refused
from ledger.records.marks import Category, shown_personal

PROBLEM_MEDIA_TYPE = "application/problem+json"
JSON_MEDIA_TYPE = "application/json"
PREFER_RECEIPT = "receipt"
"""The preference (RFC 7240) with which a write asks for its receipt."""

MAX_DISCLOSURES = 256
MAX_ATTACHMENTS = 64
MAX_STATEMENTS = 1_000
MAX_CERTIFICATES = 4

T = TypeVar("T")

SubjectName = Annotated[str, Meta(min_length=1, max_length=256), shown_personal(Category.IDENTITY, "direct")]
"""The natural id of a person, in any spelling."""

_PLACE = re.compile(r" - at `\$([^`]*)`$")
_GOT = re.compile(r", got .*$")


class BodyMalformed(Refused):
    """The body is not JSON of the shape that the resource takes; the caller's values are not repeated."""

    code = "api/body-malformed"
    title = "Body is malformed"


class SubmittedDisclosure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One opened disclosure, byte for byte as it was hashed, and whom it is about."""

    text: Annotated[str, Meta(min_length=1, max_length=65_536), shown_personal(Category.BEHAVIOUR, "sensitive")]
    subject: SubjectName | None = None
    """The natural id of the person, vehicle or place; it goes to the vault and nowhere else."""


class SubmittedAttachment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Evidence whose digest stands in the statement; base64 in JSON."""

    data: bytes
    subject: SubjectName | None = None


class Submission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signed statement with what goes beside it."""

    statement: Annotated[str, Meta(min_length=1)]
    certificates: Annotated[tuple[bytes, ...], Meta(max_length=MAX_CERTIFICATES)] = ()
    """DER signing certificates that the statement rests on, where the service may not know them yet; base64 in JSON."""
    disclosures: Annotated[tuple[SubmittedDisclosure, ...], Meta(max_length=MAX_DISCLOSURES)] = ()
    attachments: Annotated[tuple[SubmittedAttachment, ...], Meta(max_length=MAX_ATTACHMENTS)] = ()


class SubmissionBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many statements at once; `certificates` go along with each of them."""

    statements: Annotated[tuple[Submission, ...], Meta(min_length=1, max_length=MAX_STATEMENTS)]
    certificates: Annotated[tuple[bytes, ...], Meta(max_length=MAX_CERTIFICATES)] = ()


class Accepted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The statement is durable. A reader ignores members that it does not know, so that later versions may add some."""

    index: Annotated[int, Meta(ge=0)]
    leaf_hash: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    stream: str
    seq: Annotated[int, Meta(ge=1)]
    rec_ms: Annotated[int, Meta(ge=0)]
    tree_size: Annotated[int, Meta(ge=1)]
    duplicate: bool = False
    """True where the same statement had been accepted before: this is the old answer."""
    receipt: str | None = None
    """c2sp.org/tlog-proof, where the caller preferred it and a checkpoint covers the entry already."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: its index is the cursor, and with it the entry can be read and proven."""

    index: int
    type: str
    stream: str
    seq: int
    rec_ms: int
    leaf_hash: str


class TimestampShown(msgspec.Struct, frozen=True, kw_only=True):
    """A stamped checkpoint: what was stamped, and the token (RFC 3161) in base64 of DER."""

    index: int
    """Of the entry that tells of it."""
    size: int
    checkpoint: str
    token: bytes


class Timestamps(msgspec.Struct, frozen=True, kw_only=True):
    """Stamped checkpoints, sizes rising."""

    timestamps: tuple[TimestampShown, ...]


class ConsistencyProof(msgspec.Struct, frozen=True, kw_only=True):
    """The hashes that show the first `old_size` leaves to be a prefix of the first `new_size` (RFC 9162, 2.1.4)."""

    old_size: Annotated[int, Meta(ge=0)]
    new_size: Annotated[int, Meta(ge=0)]
    hashes: Annotated[tuple[Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")], ...], Meta(max_length=64)]


class Invalid(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing wrong with a request: what was wanted, and where."""

    detail: str
    pointer: str | None = None
    """Where in the body, as `.member[0]`; None for the whole."""
    source: str | None = None
    """Where it is not the body: query, path, header."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document (RFC 9457). `code` is stable; `expected`, `found` and `where` never hold personal data."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    instance: str | None = None
    """A random URN; the service's log line of this request has the same."""
    expected: str | None = None
    found: str | None = None
    where: dict[str, str | int] = {}
    errors: tuple[Invalid, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one statement: the answer or the problem that it alone would have got."""

    status: int
    accepted: Accepted | None = None
    problem: Problem | None = None


class BatchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome for each statement, in their order; each was taken or refused by itself."""

    accepted: int
    outcomes: tuple[Outcome, ...]


def decode(data: bytes, kind: type[T]) -> T:
    """The body as `kind`; raises `BodyMalformed`, which says where and what was wanted, never what was sent."""
    try:
        return msgspec.json.decode(data, type=kind)
    except UnicodeDecodeError:
        raise BodyMalformed("the body does not fit", expected="well-formed JSON in UTF-8") from None
    except RecursionError:
        raise BodyMalformed("the body does not fit", expected="JSON that is nested less deeply") from None
    except msgspec.DecodeError as error:
        wrong = invalid(str(error))
        raise BodyMalformed(
            "the body does not fit", expected=wrong.detail, **({"pointer": wrong.pointer} if wrong.pointer else {})
        ) from None


def invalid(message: str) -> Invalid:
    """What msgspec said, without any value that the caller sent."""
    place = _PLACE.search(message)
    text = _PLACE.sub("", message)
    if text.startswith("Expected "):
        text = _GOT.sub("", text.removeprefix("Expected "))
    elif text.startswith("Object missing required field "):
        text = f"the member {text.removeprefix('Object missing required field ')}"
    elif text.startswith("Object contains unknown field"):
        text = "no unknown member"
    elif text.startswith(("JSON is malformed", "Input data was truncated")):
        text = "well-formed JSON"
    else:
        text = "a value that the schema allows"
    return Invalid(detail=text, pointer=place.group(1) if place else None)
