"""Who signed in a log of the bench: small enough to be handed to every process of an audit."""

from collections.abc import Mapping

from ledger.records.actor import Actor
from ledger.records.entry import Entry


class Signers:
    """The actors by `x5t`, as the command has them where a service wrote them down."""

    def __init__(self, actors: Mapping[str, Actor]) -> None:
        """`actors` are all there are."""
        self._actors = dict(actors)

    def resolve(self, x5t: str, entry: Entry) -> Actor:
        """Who signed."""
        del entry
        return self._actors[x5t]
