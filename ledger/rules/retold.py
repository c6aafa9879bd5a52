"""What one stream alone tells: not written down a second time, but folded from the stream again when it is asked for.

The fold itself does it, over that stream's entries only, so there is no other reading of them than the rules' own. A
row holds just what other streams add.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import msgspec

from ledger.records.contracts import Silence
from ledger.rules.contract_state import Contracts as KnownContracts
from ledger.rules.contract_state import ContractState
from ledger.rules.fact import Fact
from ledger.rules.kept_state import StreamState
from ledger.rules.request_state import RequestState
from ledger.rules.site_state import SiteState
from ledger.rules.tables import ANY_STREAM, Row, Shape, Source, Table, Tables

_encode: Final = msgspec.json.Encoder(order="sorted").encode
_silences: Final = msgspec.json.Decoder(tuple[int, dict[str, Silence]]).decode
_holders: Final = msgspec.json.Decoder(set[tuple[str, str]]).decode
_places: Final = msgspec.json.Decoder(list[int]).decode


class Folding(Protocol):
    """What folds entries, and what it then knows: a `Projection`."""

    tables: Tables
    requests: Table[RequestState]
    contracts: Table[ContractState]
    sites: Table[SiteState]

    def fold(self, fact: Fact) -> None:
        """The fact was written."""
        ...


New = Callable[[], Folding]
"""Makes an empty projection."""


def _folded(new: New, facts: Iterable[Fact]) -> Folding:
    seen = new()
    for fact in facts:
        seen.fold(fact)
    return seen


class Requests(Shape[RequestState]):
    """A request is its stream. What silence means came from contracts, as they were when it was checked.

    Its row is (when its window ends, what silence means by participation).
    """

    told_by = "fsr"
    max_live = 4_096

    def __init__(self, new: New, contracts: KnownContracts) -> None:
        """`contracts` are those that a request looks its own up in."""
        super().__init__("request")
        self._new = new
        self._contracts = contracts

    def read(self, source: Source, key: str) -> tuple[RequestState | None, bytes | None]:
        facts = source.facts_of(f"fsr/{key}")
        request = _folded(self._new, facts).requests.get(key)
        if request is None:
            return None, None
        request.contracts = self._contracts
        octets = source.value(self.kind, key)
        if octets is not None:
            for name, silence in _silences(octets)[1].items():
                request.participations[name].silence = silence
        return request, octets

    def row(self, key: str, value: RequestState) -> Row:
        silences = {name: part.silence for name, part in value.participations.items() if part.silence is not None}
        end_at_ms = value.issued.end_at_ms
        return Row(self.kind, key, _encode((end_at_ms, silences)), value.index, end_at_ms)


class Contracts(Shape[ContractState]):
    """A contract is its stream, and who stands opted out under it."""

    told_by = "fsc"

    def __init__(self, new: New) -> None:
        """As its sibling."""
        super().__init__("contract")
        self._new = new

    def read(self, source: Source, key: str) -> tuple[ContractState | None, bytes | None]:
        contract = _folded(self._new, source.facts_of(f"fsc/{key}")).contracts.get(key)
        if contract is None:
            return None, None
        octets = source.value(self.kind, key)
        contract.out = _holders(octets or b"[]")
        return contract, octets

    def row(self, key: str, value: ContractState) -> Row:
        return Row(self.kind, key, _encode(value.out), value.index)


class Sites(Shape[SiteState]):
    """A site is some entries of its stream, which also holds every session: the row says which ones."""

    def __init__(self, new: New) -> None:
        """As its sibling."""
        super().__init__("site")
        self._new = new

    def read(self, source: Source, key: str) -> tuple[SiteState | None, bytes | None]:
        octets = source.value(self.kind, key)
        if octets is None:
            return None, None
        return _folded(self._new, source.facts(_places(octets))).sites.get(key), octets

    def row(self, key: str, value: SiteState) -> Row:
        return Row(self.kind, key, _encode(value.places), value.places[0])


class Told(Shape[Any]):
    """What is its own stream and nothing else: a question, a delegation, a schedule. It has no row."""

    is_written = False

    def __init__(self, kind: str, stream: str, new: New) -> None:
        """`stream` is the first part of the names of the streams; the rest is the key."""
        super().__init__(kind)
        self.told_by = stream
        self._new = new

    def read(self, source: Source, key: str) -> tuple[Any, bytes | None]:
        stream = f"{self.told_by}/{key}"
        if source.stream(stream) is None:
            return None, None
        return _folded(self._new, source.facts_of(stream)).tables[self.kind].get(key), None

    def row(self, key: str, value: Any) -> Row | None:
        return None


class Streams(Shape[StreamState]):
    """How long a stream is, its head says."""

    is_written = False
    told_by = ANY_STREAM

    def __init__(self, state: Callable[[int, bool], Any]) -> None:
        """`state` makes a value."""
        super().__init__("stream")
        self._state = state

    def read(self, source: Source, key: str) -> tuple[StreamState | None, bytes | None]:
        found = source.stream(key)
        return (None if found is None else self._state(*found)), None

    def row(self, key: str, value: StreamState) -> Row | None:
        return None
