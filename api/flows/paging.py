"""A page of a list: what is the caller's, after a name that is the caller's too."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from api.flows.errors import NotConcerned

T = TypeVar("T")


def page(
    own: Iterable[T],
    *,
    name: Callable[[T], str],
    after: str | None,
    limit: int,
    wanted: Callable[[T], bool] = lambda _: True,
) -> tuple[tuple[T, ...], str | None]:
    """The next `limit` of `own` after the one called `after` that are `wanted`, and the name to ask after for more.

    `after` need not be wanted: it may have left the filter since. It must be the caller's own, or nothing is told;
    raises `NotConcerned`.
    """
    found: list[T] = []
    is_behind = after is None
    for one in own:
        if not is_behind:
            is_behind = name(one) == after
        elif wanted(one):
            if len(found) == limit:
                return tuple(found), name(found[-1])
            found.append(one)
    if not is_behind:
        raise NotConcerned("nothing of yours has this name", where="after")
    return tuple(found), None
