"""Words that several commands use."""

import datetime as dt
from collections.abc import Callable
from enum import StrEnum
from typing import TypeVar

import typer

from api.client.errors import AnswerMalformed
from ledger.errors import shown

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


def counted(number: int, one: str, many: str) -> str:
    """The number with the word that fits it: 1 entry, 2 entries."""
    return f"{number} {one if number == 1 else many}"


def plain(text: str) -> str:
    """The text, whoever wrote what is in it, without anything in a line that a terminal would obey."""
    return "\n".join(shown(line, len(line)) for line in text.split("\n"))


def told(text: Callable[[T], str], answer: T) -> str:
    """The text that is made of a service's answer; raises `AnswerMalformed` where it is not what it should be."""
    try:
        return plain(text(answer))
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, OSError) as error:
        # OSError and the two before are of times that no calendar has.
        raise AnswerMalformed("the answer does not fit", found=type(error).__name__) from None


def utc(at_ms: int) -> str:
    """A time as people read it, in UTC to the second: 2026-01-01T00:00:00Z."""
    return dt.datetime.fromtimestamp(at_ms // 1000, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def one_of(kind: type[E], said: str) -> E:
    """The member that an option names, in any case, with hyphens or underscores. BadParameter says which there are."""
    wanted = said.lower().replace("-", "_")
    for member in kind:
        if member.value.lower() == wanted:
            return member
    raise typer.BadParameter(f"{said!r} is none of {', '.join(kind)}")
