"""If-None-Match is answered with 304 exactly when the bytes are those that the caller has."""

from typing import Any

import pytest
from litestar import Request, get
from litestar.response import Response
from litestar.testing import create_test_client

from api.web import conditional

DATA = b"a tile"


def test_the_tag_depends_on_every_byte() -> None:
    assert conditional.etag(DATA) == conditional.etag(DATA)
    assert conditional.etag(DATA) != conditional.etag(DATA + b"\0")


@pytest.mark.parametrize(
    ("header", "matching"),
    [
        ("{tag}", True),
        ("W/{tag}", True),
        ('"other", {tag}', True),
        ("*", True),
        ('"other"', False),
        ("", False),
        ("{tag}x", False),
    ],
)
def test_tags_are_compared_weakly(header: str, matching: bool) -> None:
    tag = conditional.etag(DATA)
    assert conditional.matches(header.replace("{tag}", tag), tag) is matching


def test_no_more_tags_are_looked_at_than_the_limit() -> None:
    tag = conditional.etag(DATA)
    others = ['"x"'] * (conditional.MAX_TAGS - 1)
    assert conditional.matches(", ".join([*others, tag]), tag)
    assert not conditional.matches(", ".join(['"x"', *others, tag]), tag)


def test_who_has_the_bytes_gets_304_without_them() -> None:
    @get("/tile", sync_to_thread=False)
    def tile(request: Request[Any, Any, Any]) -> Response[bytes]:
        return conditional.respond(request, DATA, media_type="application/octet-stream")

    with create_test_client([tile], openapi_config=None, logging_config=None) as client:
        first = client.get("/tile")
        assert (first.status_code, first.content) == (200, DATA)
        assert first.headers["cache-control"] == conditional.IMMUTABLE
        again = client.get("/tile", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]


def test_either_form_has_a_tag_of_its_own_and_304_is_only_for_the_form_that_is_asked_for() -> None:
    bundle = DATA * 100

    @get("/bundle")
    async def packed(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await conditional.respond_packed(request, bundle, media_type="application/octet-stream")

    with create_test_client([packed], openapi_config=None, logging_config=None) as client:
        tags = {}
        for coding in ("identity", "gzip"):
            first = client.get("/bundle", headers={"accept-encoding": coding})
            assert (first.status_code, first.content) == (200, bundle)
            assert first.headers.get("content-encoding") == (None if coding == "identity" else coding)
            assert first.headers["vary"] == "accept-encoding"
            tags[coding] = first.headers["etag"]
        for coding in tags:
            for known, tag in tags.items():
                again = client.get("/bundle", headers={"accept-encoding": coding, "if-none-match": tag})
                assert (again.status_code, again.content) == ((304, b"") if known == coding else (200, bundle))
                assert again.headers["vary"] == "accept-encoding"
