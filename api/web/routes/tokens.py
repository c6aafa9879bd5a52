"""/v1/tokens: a narrower access token for the certificate of this connection."""

from typing import Annotated, Any, Final

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.response import Response
from msgspec import Meta

from api.web import schema
from api.web.identity import principal_of, require
from api.web.routes import body
from api.web.tokens import MAX_LIFETIME_S, Scope, Tokens

NO_STORE: Final = {"cache-control": "no-store"}


class TokenWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the token should allow, and for how long at most."""

    scope: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=2)]
    lifetime_s: Annotated[int, Meta(ge=1, le=MAX_LIFETIME_S)] = MAX_LIFETIME_S


class TokenIssued(msgspec.Struct, frozen=True, kw_only=True):
    """As RFC 6749 section 5.1 writes it; the token counts on connections of the same certificate only (RFC 8705)."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


@post(
    "/v1/tokens",
    name="issue_token",
    operation_id="issue_token",
    summary="Get an access token, bound to the certificate of this connection, that allows less than the certificate",
    tags=["tokens"],
    guards=[require()],
    status_code=201,
    opt={schema.OPT_BODY: TokenWanted},
)
async def issue_token(request: Request[Any, Any, Any], tokens: NamedDependency[Tokens]) -> Response[TokenIssued]:
    """Issues the token; nothing of it is kept."""
    wanted = await body.read(request, TokenWanted)
    issued = tokens.issue(principal_of(request.scope), frozenset(wanted.scope), wanted.lifetime_s)
    answer = TokenIssued(
        access_token=issued.text,
        token_type="Bearer",  # noqa: S106 -- the name of a scheme
        expires_in=issued.expires_in_s,
        scope=" ".join(sorted(issued.scopes)),
    )
    return Response(answer, status_code=201, headers=NO_STORE)


HANDLERS = (issue_token,)
