"""Read a JSON body: once, whole, and in one way only."""

import json
from typing import Any, TypeVar

from litestar import Request

from api import wire
from api.wire import BodyMalformed

T = TypeVar("T")


class _Repeated(Exception):
    """A member stands twice."""


async def read(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """The body as `kind`; raises `BodyMalformed`.

    A member that stands twice is refused: whoever looked at the body on its way may have read the other one (RFC 8259
    section 4).
    """
    data = await request.body()
    try:
        found = wire.decode(data, kind)
        json.loads(data, object_pairs_hook=_single)
    except UnicodeDecodeError:
        raise BodyMalformed("the body does not fit", expected="well-formed JSON in UTF-8") from None
    except RecursionError:
        raise BodyMalformed("the body does not fit", expected="JSON that is nested less deeply") from None
    except _Repeated:
        raise BodyMalformed("the body does not fit", expected="every member once") from None
    return found


def _single(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Repeated
