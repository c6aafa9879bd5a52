"""What a service says when it refuses: a problem document (RFC 9457), taken only where it is one."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from api.client.bounds import shown
from api.client.errors import AnswerMalformed, RemoteProblem
from api.errors import ApiError
from api.wire import PROBLEM_MEDIA_TYPE, Problem

MAX_PROBLEM_BYTES: Final = 64 * 1024
"""No answer that refuses is read further."""
MAX_WHERE: Final = 16
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_OWN: Final = frozenset({"self", "detail", "code", "status", "title", "instance", "expected", "found", "where", "body"})
_CODE: Final = re.compile(r"[a-z0-9]{1,16}/[a-z0-9-]{1,64}")


def read(status: int, media_type: str, body: bytes) -> ApiError:
    """The refusal as an error to raise: the service's own, or `AnswerMalformed` where it says nothing that can be read.

    What it has of the service's words is cut and without control characters; `body` is as it came.
    """
    if media_type.partition(";")[0].strip().lower() != PROBLEM_MEDIA_TYPE:
        return AnswerMalformed("the service failed without saying why", expected=PROBLEM_MEDIA_TYPE, found=status)
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return AnswerMalformed("the problem is malformed", found=status)
    if not _CODE.fullmatch(problem.code):
        return AnswerMalformed("the problem has no code", expected="area/name", found=status)
    wrong = "; ".join(f"{item.pointer or 'body'}: {item.detail}" for item in problem.errors[:MAX_WHERE])
    expected = problem.expected or wrong or None
    return RemoteProblem(
        shown(problem.detail),
        code=problem.code,
        status=status,
        title=shown(problem.title),
        instance=None if problem.instance is None else shown(problem.instance),
        expected=None if expected is None else shown(expected),
        found=None if problem.found is None else shown(problem.found),
        where=_place(problem.where),
        body=body,
    )


def _place(where: Mapping[str, str | int]) -> dict[str, str | int]:
    """The fields of the place that an error can have beside its own."""
    fit = [(name, value) for name, value in where.items() if _FIELD.fullmatch(name) and name not in _OWN]
    return {name: value if isinstance(value, int) else shown(value) for name, value in fit[:MAX_WHERE]}
