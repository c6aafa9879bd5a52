"""A statement: one actor's own words, signed with its signing key, in the shape of an SD-JWT (docs/spec/statement.md).

The signature covers digests of personal values, never the values, so it survives their erasure.
"""

import secrets
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from ledger.records import canonical, jws, record, registry
from ledger.records.actor import Actor
from ledger.records.disclosure import SALT_BYTES, Disclosure
from ledger.records.errors import SignatureInvalid, StatementMalformed
from ledger.records.record import Record
from ledger.records.statement_fields import Hash, Jti, StreamName

TYP = "flex+sd-jwt"
MS_PER_S = 1000


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The protected header; `x5t` is a look-up hint for the signing certificate (RFC 7515 section 4.1.8)."""

    alg: str
    typ: str
    x5t: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{43}$(?!\n)")] = msgspec.field(name="x5t#S256")


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is signed."""

    iss: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    aud: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    jti: Jti
    iat: Annotated[int, msgspec.Meta(ge=0, le=2**40)]
    """NumericDate in seconds (RFC 7519): when the actor says it spoke."""
    stream: StreamName
    type: Annotated[str, msgspec.Meta(pattern=r"^[a-z]+\.[a-z-]+$(?!\n)", max_length=48)]
    v: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    event: dict[str, Any]
    exp_prev: Hash | None = None
    """The stream's head that the actor saw; the statement is refused if another entry came between."""
    actor_seq: Annotated[int, msgspec.Meta(ge=1, le=canonical.MAX_INT)] | None = None
    """The actor's own counter for this key; a gap shows that a statement never reached the log."""
    sd_alg: Literal["", "sha-256"] = msgspec.field(name="_sd_alg", default="")


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement taken apart. Until `open_statement` returned it, nobody has vouched for it."""

    raw: str
    header: Header
    claims: Claims
    record: Record
    """The record with its personal fields UNSET."""


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that we signed ourselves, with the disclosures that go beside it."""

    raw: str
    jti: str
    stream: str
    disclosures: tuple[Disclosure, ...]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A statement before anybody signed it; `x5t` names the certificate of the key that will."""

    record: Record
    x5t: str
    party: str
    audience: str
    stream: str
    exp_prev: str | None = None
    actor_seq: int | None = None


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that lacks its signature over `signing_input` alone."""

    signing_input: str
    jti: str
    stream: str
    disclosures: tuple[Disclosure, ...]


def new_jti(now_ms: int) -> str:
    """A fresh statement id, ordered by time: 48 bits of milliseconds and 80 random bits, in hex."""
    return f"{now_ms:012x}{secrets.token_hex(10)}"


def new_salt() -> bytes:
    """Fresh randomness for one disclosure."""
    return secrets.token_bytes(SALT_BYTES)


def sign(
    what: Record,
    *,
    key: jws.PrivateKey,
    x5t: str,
    party: str,
    audience: str,
    stream: str,
    now_ms: int,
    jti: str | None = None,
    exp_prev: str | None = None,
    actor_seq: int | None = None,
    salt: Callable[[], bytes] = new_salt,
) -> Signed:
    """`what`, stated by `party` and signed; personal fields leave only their salted digests in it."""
    draft = Draft(
        record=what, x5t=x5t, party=party, audience=audience, stream=stream, exp_prev=exp_prev, actor_seq=actor_seq
    )
    claims, disclosures = _claims(draft, jti or new_jti(now_ms), now_ms, salt)
    raw = jws.sign(canonical.encode(claims), key, _header(draft))
    return Signed(raw=raw, jti=claims.jti, stream=stream, disclosures=disclosures)


def prepare(draft: Draft, *, algorithm: str, now_ms: int, salt: Callable[[], bytes] = new_salt) -> Prepared:
    """What a key elsewhere has to sign so that it is the statement that `sign` would have made."""
    claims, disclosures = _claims(draft, new_jti(now_ms), now_ms, salt)
    found = jws.signing_input(canonical.encode(claims), algorithm, _header(draft))
    return Prepared(signing_input=found, jti=claims.jti, stream=draft.stream, disclosures=disclosures)


def _header(draft: Draft) -> dict[str, Any]:
    return {"typ": TYP, "x5t#S256": draft.x5t}


def _claims(draft: Draft, jti: str, now_ms: int, salt: Callable[[], bytes]) -> tuple[Claims, tuple[Disclosure, ...]]:
    concealed = record.conceal(draft.record, salt)
    claims = Claims(
        iss=draft.party,
        aud=draft.audience,
        jti=jti,
        iat=now_ms // MS_PER_S,
        stream=draft.stream,
        type=draft.record.TYPE,
        v=draft.record.VERSION,
        event=concealed.event,
        exp_prev=draft.exp_prev,
        actor_seq=draft.actor_seq,
        sd_alg="sha-256" if concealed.disclosures else "",
    )
    return claims, concealed.disclosures


def parse_statement(raw: str) -> Statement:
    """Takes a statement apart and checks its form, its record's schema and marks; authenticates nothing."""
    return read_parsed(jws.parse(raw))


def open_statement(raw: str, actor: Actor, *, audience: str | None = None) -> Statement:
    """The statement, now known to be the actor's own words for this log.

    Raises `SignatureInvalid` if the key of `actor` did not sign it, or if it names another party than the actor's
    credential; `StatementMalformed` if it was made for another audience.
    """
    parsed = jws.parse(raw)
    jws.open_jws(parsed, jws.load_key(actor.key_spki))
    return _of_actor(read_parsed(parsed), actor, audience)


def authenticate(statement: Statement, actor: Actor, *, audience: str | None = None) -> Statement:
    """The same as `open_statement`, of one that `parse_statement` took apart: its record is not read twice."""
    jws.open_jws(jws.parse(statement.raw), jws.load_key(actor.key_spki))
    return _of_actor(statement, actor, audience)


def _of_actor(statement: Statement, actor: Actor, audience: str | None) -> Statement:
    require_party(statement, actor)
    if audience is not None and statement.claims.aud != audience:
        raise StatementMalformed(
            "the statement was made for another log", expected=audience, found=statement.claims.aud
        )
    return statement


def require_party(statement: Statement, actor: Actor) -> None:
    """The statement speaks for the actor's party; raises `SignatureInvalid`."""
    if statement.claims.iss != actor.party:
        raise SignatureInvalid("the statement names another party than the credential", expected=actor.party)


def read_parsed(parsed: jws.Parsed) -> Statement:
    """The same as `parse_statement`, of a JWS that was taken apart."""
    text = parsed.raw[: parsed.raw.index(".")]
    header = _headers.get(text)
    if header is None:
        header = _read_header(parsed.header)
        if len(_headers) >= jws.MAX_HEADERS:
            _headers.clear()
        _headers[text] = header
    claims = _read_quickly(parsed.payload)
    if claims is None:
        claims = canonical.convert(canonical.decode(parsed.payload), Claims, "the statement")
    kind = registry.kind(claims.type, claims.v)
    if kind.STREAM not in ("*", claims.stream.partition("/")[0]):
        raise StatementMalformed(
            "the record lives in another stream", expected=f"{kind.STREAM}/...", found=claims.stream
        )
    return Statement(raw=parsed.raw, header=header, claims=claims, record=record.read(claims.event, kind))


_headers: dict[str, Header] = {}
"""Headers that were read, by their text."""


def _read_header(found: dict[str, Any]) -> Header:
    header = canonical.convert(found, Header, "the statement's header")
    if header.typ != TYP:
        raise StatementMalformed("another kind of JWS", expected=TYP)
    return header


def _refuse_float(text: str) -> None:
    raise ValueError("a number with a fraction or an exponent")


_decode_claims = msgspec.json.Decoder(Claims, float_hook=_refuse_float).decode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_DIGITS = bytes(0x30 if 0x30 <= octet <= 0x39 else 0x20 for octet in range(256))
_TOO_LONG = b"0" * 16
"""Fewer digits cannot be more than `canonical.MAX_INT`."""


def _read_quickly(payload: bytes) -> Claims | None:
    """The claims if it can be seen at little cost that they are canonical; None leaves it to the careful way.

    Written again they are the same bytes, without a float, without a number that could be too large, without a member
    name that could not be ASCII, and without enough braces to be nested too deep.
    """
    is_deep = payload.count(b"{") + payload.count(b"[") > canonical.MAX_DEPTH
    if is_deep or not payload.isascii() or _TOO_LONG in payload.translate(_DIGITS):
        return None
    try:
        claims = _decode_claims(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return claims if _encode_sorted(claims) == payload else None
