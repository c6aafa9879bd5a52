"""The token that a webhook delivery is, the same on both sides: signed as the service signs its statements."""

from typing import Final

import msgspec

from api.wire import Event
from ledger.records import canonical, jws
from ledger.records.errors import SignatureInvalid, StatementMalformed

TYP: Final = "flex-webhook+jwt"
"""Explicit typing (RFC 8725 section 3.11): no statement is taken for a delivery, and no delivery for a statement."""
MEDIA_TYPE: Final = "application/jwt"
MAX_AGE_S: Final = 300


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is signed: who tells whom, of which log, when, and which entries were written."""

    iss: str
    aud: str
    sub: str
    """The subscription."""
    log: str
    """The log's origin."""
    iat: int
    events: tuple[Event, ...] = ()
    """In the order of the log; none where a challenge is to be repeated."""
    challenge: str | None = None


def open_delivery(token: bytes, key: jws.PublicKey, *, x5t: str, party: str, log: str, now_s: int) -> Claims:
    """What the service says, authentic and for this party; raises `SignatureInvalid`, `StatementMalformed`."""
    parsed = jws.parse(token.decode("ascii", "replace"))
    if (parsed.header.get("typ"), parsed.header.get("x5t#S256")) != (TYP, x5t):
        raise StatementMalformed("not a delivery of this service", expected=TYP)
    claims = canonical.convert(canonical.decode(jws.open_jws(parsed, key)), Claims, "the delivery")
    if (claims.aud, claims.log) != (party, log):
        raise SignatureInvalid("a delivery for another party or of another log", expected=f"{party} of {log}")
    if abs(now_s - claims.iat) > MAX_AGE_S:
        raise SignatureInvalid("the delivery is old, or a clock is wrong", expected=f"within {MAX_AGE_S} s")
    return claims
