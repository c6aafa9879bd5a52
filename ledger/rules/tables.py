"""Where a fold keeps what it knows: by key, so that a log's state need not be in memory, nor be folded at a start.

A `Table` behaves like a dict. Alone, as in an audit, it is one. With a `Source` it holds what was asked for lately and
fetches the rest by key; whatever a fold looked at while it folded is then written down again by the store, in the very
transaction that holds the entry. A fold step cannot forget to say what it changed, for to look is to say so.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, MutableMapping, Sequence, Sized
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar, cast, overload

import msgspec

from ledger.errors import Broken

if TYPE_CHECKING:
    from ledger.rules.fact import Fact  # whoever reads rows needs no record type

V = TypeVar("V")
T = TypeVar("T")

ROWS_VERSION: Final = "rows/2"
"""How values are written down; rows of another version are not read but made anew from the log."""

ANY_STREAM: Final = "*"
"""For values that every stream tells, by its whole name."""

_encode: Final = msgspec.json.Encoder(order="sorted").encode
_UNKNOWN: Final = cast("Any", object())


@cache
def _decoder(of: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(of)


class ProjectionUnreadable(Broken):
    """A row of the kept state is not in its own shape: somebody else wrote it. `flexledger rebuild` makes it anew."""

    code = "ledger/projection-unreadable"
    title = "Projection cannot be read"


class Row(NamedTuple):
    """What a store keeps of one value; no octets where the key stands for nothing any more."""

    kind: str
    key: str
    value: bytes | None
    born: int | None = None
    """Index of the entry that first named it, in tables that are walked through in that order."""
    until_ms: int | None = None
    """When it stops mattering, in tables that are asked what still does."""


class Source(Protocol):
    """The committed state of a log, by key."""

    def value(self, kind: str, key: str) -> bytes | None:
        """The octets of a row, or None."""
        ...

    def keys(self, kind: str, after: str | None = None) -> Iterator[str]:
        """The keys that were `born`, in that order; those after a key, if it is named."""
        ...

    def keys_until(self, kind: str, after_ms: int) -> Iterator[str]:
        """The keys that matter until later than `after_ms`."""
        ...

    def stream(self, name: str) -> tuple[int, bool] | None:
        """How many entries a stream has and whether it is closed; None where it has none."""
        ...

    def facts(self, indices: Sequence[int]) -> "list[Fact]":
        """The facts of these entries, in order of index; raises StoreDamaged."""
        ...

    def facts_of(self, stream: str) -> "list[Fact]":
        """The facts of a stream, oldest first; raises StoreDamaged."""
        ...


class Shape(ABC, Generic[V]):
    """How the values of one kind are written down, and read again."""

    max_live = 16_384
    """Values that are kept in memory from one batch to the next."""
    is_written = True
    """False for values that the log itself has by key, so that they have no rows."""
    told_by: str | None = None
    """The first part of the names of the streams that tell such values, each by the rest of its name."""

    def __init__(self, kind: str) -> None:
        """`kind` is what their rows are called."""
        self.kind = kind

    @abstractmethod
    def read(self, source: Source, key: str) -> tuple[V | None, bytes | None]:
        """The value of a key, and the octets of its row."""

    @abstractmethod
    def row(self, key: str, value: V) -> Row | None:
        """The row of a value; None where there is none because the log itself has it by key."""


class Plain(Shape[V]):
    """Values that are written down whole, as JSON; an empty collection is the same as none."""

    def __init__(self, kind: str, of: Any, *, is_walked: bool = False) -> None:
        """`of` is the type of the values; with `is_walked` they have a `born`, which the value itself names `index`."""
        super().__init__(kind)
        self._of = of
        self._is_walked = is_walked

    def read(self, source: Source, key: str) -> tuple[V | None, bytes | None]:
        octets = source.value(self.kind, key)
        return (None if octets is None else _decoder(self._of).decode(octets)), octets

    def row(self, key: str, value: V) -> Row:
        is_empty = isinstance(value, Collection) and not value
        born = cast("Any", value).index if self._is_walked else None
        return Row(self.kind, key, None if is_empty else _encode(value), born)


class Table(MutableMapping[str, V]):
    """One kind of values by key."""

    __slots__ = ("_all", "_is_written", "_kind", "_live", "_octets", "shape")

    def __init__(self, tables: "Tables", shape: Shape[V]) -> None:
        """Holds nothing yet."""
        self._all = tables
        self.shape = shape
        self._kind = shape.kind
        self._is_written = shape.is_written
        self._live: dict[str, V | None] = {}
        """None for a key that is known to stand for nothing."""
        self._octets: dict[str, bytes | None] = {}
        """What the store has, of live keys that have a row there."""

    @overload
    def get(self, key: str, /) -> V | None: ...

    @overload
    def get(self, key: str, /, default: V | T) -> V | T: ...

    def get(self, key: str, /, default: Any = None) -> Any:
        """The value, or the default."""
        value = self._live.get(key, _UNKNOWN)
        tables = self._all
        if value is _UNKNOWN:
            value = None if tables.source is None else self._fetch(tables.source, key)
        if tables.is_folding and self._is_written:
            tables.touched[self._kind, key] = self
        return default if value is None else value

    def __contains__(self, key: object) -> bool:
        return self.get(cast("str", key)) is not None

    def __getitem__(self, key: str) -> V:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: V) -> None:
        tables = self._all
        # What the store has of the key has to be known before it can be said whether it changed.
        if tables.source is not None and key not in self._live:
            self._fetch(tables.source, key)
        if tables.is_folding and self._is_written:
            tables.touched[self._kind, key] = self
        self._live[key] = value

    def __delitem__(self, key: str) -> None:
        self[key]
        if self._all.source is None:
            del self._live[key]
        else:
            self._live[key] = None

    def add(self, key: str) -> None:
        """The key is in the set that this table is."""
        cast("Table[Any]", self)[key] = True

    def __iter__(self) -> Iterator[str]:
        return self.after(None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def after(self, key: str | None) -> Iterator[str]:
        """The keys in the order in which the log first named them, those after one if it is named."""
        source = self._all.source
        if source is not None:
            yield from source.keys(self.shape.kind, key)
            return
        is_behind = key is None
        for one in tuple(self._live):
            if is_behind:
                yield one
            is_behind = is_behind or one == key

    def until(self, after_ms: int) -> Iterator[str]:
        """The keys of what matters until later than `after_ms`."""
        source = self._all.source
        if source is not None:
            yield from source.keys_until(self.shape.kind, after_ms)
            return
        for key in tuple(self._live):
            row = self.shape.row(key, self[key])
            if row is not None and row.until_ms is not None and row.until_ms > after_ms:
                yield key

    def peek(self, key: str) -> V:
        """The value of a key that is there, for who walks through many: memory is used while there is room for all.

        Raises KeyError.
        """
        source = self._all.source
        if source is None or key in self._live or len(self._live) < self.shape.max_live:
            return self[key]
        value = self._read(source, key)[0]
        if value is None:
            raise KeyError(key)
        return value

    def values(self) -> Any:
        """Every value, in the order of `after`; few of them are in memory at once."""
        return (self.peek(key) for key in self)

    def row(self, key: str) -> Row | None:
        """The row of a live key; None where it has none, or the store has the same."""
        value = self._live.get(key)
        before = self._octets.get(key)
        made = Row(self.shape.kind, key, None) if value is None else self.shape.row(key, value)
        if made is None or made.value == before:
            return None
        self._octets[key] = made.value
        return made

    def rows(self) -> Iterator[Row]:
        """The row of every value that has one, of a table that has all in memory."""
        for key, value in self._live.items():
            row = None if value is None else self.shape.row(key, value)
            if row is not None and row.value is not None:
                yield row

    def forget(self, key: str) -> None:
        """The value is fetched again when it is asked for."""
        self._live.pop(key, None)
        self._octets.pop(key, None)

    def forget_all(self) -> None:
        """As above, for every key."""
        self._live.clear()
        self._octets.clear()

    @property
    def live(self) -> Sized:
        """What is in memory; always the same object."""
        return self._live

    def make_room(self) -> None:
        """Half of what is in memory is forgotten, the oldest first."""
        for key in list(islice(self._live, max(0, len(self._live) - self.shape.max_live // 2))):
            self.forget(key)

    def _fetch(self, source: Source, key: str) -> V | None:
        value, octets = self._read(source, key)
        self._live[key] = value
        if octets is not None:
            self._octets[key] = octets
        return value

    def _read(self, source: Source, key: str) -> tuple[V | None, bytes | None]:
        try:
            return self.shape.read(source, key)
        except (msgspec.MsgspecError, ValueError, KeyError) as error:
            raise ProjectionUnreadable(
                "a row of the kept state cannot be read", found=type(error).__name__, kind=self.shape.kind
            ) from error


class Tables:
    """All tables of one state: made here, and written down and fetched together."""

    def __init__(self) -> None:
        """None yet."""
        self.source: Source | None = None
        """Where what is not in memory is fetched from."""
        self.is_folding = False
        """While it is True, whatever is looked at may be changed, and is written down again."""
        self.touched: dict[tuple[str, str], Table[Any]] = {}
        """What was looked at in folds, by kind and key, since rows were last asked for."""
        self._drafted: list[tuple[str, str]] = []
        """What was looked at in the folds whose rows were asked for last."""
        self._by_kind: dict[str, Table[Any]] = {}
        self._bounds: list[tuple[Sized, int, Table[Any]]] = []
        """For each table: what it has in memory and how much that may be, which is asked after each batch."""

    def new(self, shape: Shape[V]) -> Table[V]:
        """An empty table."""
        made = self._by_kind[shape.kind] = Table(self, shape)
        self._bounds.append((made.live, shape.max_live, made))
        return made

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of rows, in order."""
        return tuple(sorted(self._by_kind))

    def __getitem__(self, kind: str) -> Table[Any]:
        """The table of a kind."""
        return self._by_kind[kind]

    def changes(self) -> list[Row]:
        """The rows that the folds since the last call have changed."""
        made = [table.row(key) for (_, key), table in self.touched.items()]
        self._drafted = list(self.touched)
        self.touched.clear()
        return [row for row in made if row is not None]

    def rows(self) -> Iterator[Row]:
        """Every row of a state that has all in memory."""
        for table in self._by_kind.values():
            yield from table.rows()

    def forget(self, keys: Iterable[tuple[str, str]], streams: Iterable[str]) -> None:
        """Others changed these rows, and wrote into these streams."""
        for kind, key in keys:
            if kind in self._by_kind:
                self._by_kind[kind].forget(key)
        told = [table for table in self._by_kind.values() if table.shape.told_by is not None]
        for stream in streams:
            kind, _, name = stream.partition("/")
            for table in told:
                if table.shape.told_by in (kind, ANY_STREAM):
                    table.forget(stream if table.shape.told_by == ANY_STREAM else name)

    def undo(self, streams: Iterable[str]) -> None:
        """What was folded since the last commit, into these streams, is known not to have been written."""
        self.forget([*self._drafted, *self.touched], streams)
        self._drafted = []
        self.touched.clear()

    def forget_all(self) -> None:
        """What is in memory may never have been committed."""
        self.touched.clear()
        for table in self._by_kind.values():
            table.forget_all()

    def make_room(self) -> None:
        """Everything is committed: what has not been asked for lately need not be in memory."""
        for live, most, table in self._bounds:
            if len(live) > most:
                table.make_room()
