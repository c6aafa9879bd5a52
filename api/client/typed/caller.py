"""What the typed methods stand on: a statement is signed and handed in, a question is asked, addresses are written."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, TypedDict
from urllib.parse import quote, urlencode

import msgspec

from api import wire
from api.client.http import Answer, Request
from api.client.receipts import Receipt
from api.wire import SubmittedAttachment
from ledger.records.disclosure import Disclosure
from ledger.records.record import Record
from ledger.rules.streams import stream_of


class Handing(TypedDict, total=False):
    """What may go along with a statement: whom a disclosure is about, documents, and what it follows."""

    subjects: Mapping[str, str] | Callable[[Disclosure], str | None] | None
    attachments: Sequence[SubmittedAttachment]
    exp_prev: str | None
    actor_seq: int | None


class Caller(ABC):
    """Who states and asks, and waits for it."""

    @abstractmethod
    def state(self, path: str, said: Record, more: Handing) -> Receipt:
        """The statement is durable, and its receipt, if there is one, is verified."""

    @abstractmethod
    def ask(
        self, method: str, path: str, in_path: Mapping[str, Any], in_query: Mapping[str, Any], body: Any = None
    ) -> Answer:
        """The answer; raises `RemoteProblem`."""


class AsyncCaller(ABC):
    """Who states and asks with asyncio."""

    @abstractmethod
    async def state(self, path: str, said: Record, more: Handing) -> Receipt:
        """As its sibling."""

    @abstractmethod
    async def ask(
        self, method: str, path: str, in_path: Mapping[str, Any], in_query: Mapping[str, Any], body: Any = None
    ) -> Answer:
        """As its sibling."""


def addressed(path: str, said: Record) -> tuple[str, Record, str]:
    """A statement with its address and its stream: both follow from what is said.

    Raises ValueError for a record that stands in no stream of its own.
    """
    stream = stream_of(said)
    if stream is None:
        raise ValueError(f"{said.TYPE} names no stream")
    return address(path, {name: getattr(said, name) for name in said.__struct_fields__}, {}), said, stream


def address(path: str, in_path: Mapping[str, Any], in_query: Mapping[str, Any]) -> str:
    """The path with its names filled in, and what is asked for behind it; what is None is not asked for."""
    filled = path.format_map({name: quote(_text(value), safe="") for name, value in in_path.items()})
    asked = {name: _text(value) for name, value in in_query.items() if value is not None}
    return f"{filled}?{urlencode(asked)}" if asked else filled


def question(method: str, path: str, in_path: Mapping[str, Any], in_query: Mapping[str, Any], body: Any) -> Request:
    """The request for an address, with a body as JSON where there is one."""
    headers = {"accept": wire.JSON_MEDIA_TYPE}
    if body is None:
        return Request(method, address(path, in_path, in_query), headers=headers)
    headers["content-type"] = wire.JSON_MEDIA_TYPE
    return Request(method, address(path, in_path, in_query), msgspec.json.encode(body), headers)


def _text(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    return str(value).lower() if isinstance(value, bool) else str(value)
