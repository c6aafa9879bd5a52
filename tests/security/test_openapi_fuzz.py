"""The whole interface, fuzzed from its own OpenAPI document over mutual TLS: no 5xx, every answer as the document says."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import hypothesis
import jsonschema_rs
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode

from api import wire
from api.cli.demo import cast, stage
from api.client.tls import client_context
from api.web import problems
from pki.roles import Purpose
from tests.support import house as houses
from tests.support import reference
from tests.support.street import open_street

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EXAMPLES = 5
"""For each operation, caller and kind of data: about a thousand requests in all."""
CALLERS = (cast.FO, cast.CSO)
ENDLESS = frozenset({("get", "/v1/events")})
DOCUMENT = reference.openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CODES = {kind.code for kind in problems.error_classes()}
"""Answers that never end: as much is read as came at first, and then the connection is closed."""
OPERATIONS = {(found.ok().method.lower(), found.ok().path): found.ok() for found in SCHEMA.get_all_operations()}
EVENT_STREAM = "text/event-stream"
MAX_READ = 1 << 20
EVENT_LINE = re.compile(r"(retry: \d+|id: \d+|event: [a-z.-]+|data: ?.*|: .*|)")


@dataclass
class Place:
    """A running service, and a connection of each caller."""

    clients: dict[str, httpx2.Client]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("fuzz")
    ready: Future[int] = Future()
    leave = threading.Event()
    serving = threading.Thread(target=lambda: asyncio.run(_serve(folder, ready, leave)), daemon=True)
    serving.start()
    port = ready.result(timeout=120)
    root = folder / "service" / "pki" / "root.pem"

    def client(who: str) -> httpx2.Client:
        context = client_context(root, *stage.credentials(folder, "parties", who, Purpose.TLS_CLIENT))
        return httpx2.Client(base_url=f"https://localhost:{port}", verify=context, trust_env=False, timeout=60)

    found = Place({who: client(who) for who in CALLERS})
    yield found
    for one in found.clients.values():
        one.close()
    leave.set()
    serving.join(timeout=60)


async def _serve(folder: Path, ready: "Future[int]", leave: threading.Event) -> None:
    try:
        async with open_street(folder, houses.perform()) as (server, _):
            ready.set_result(server.port)
            await asyncio.to_thread(leave.wait)
    except BaseException as error:
        if not ready.done():
            ready.set_exception(error)
        raise


def test_every_operation_is_fuzzed() -> None:
    named = {(method, path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert set(OPERATIONS) == named
    assert named >= ENDLESS
    assert len(named) > 60


@pytest.mark.parametrize("place_of", sorted(OPERATIONS), ids=" ".join)
def test_no_input_is_answered_otherwise_than_the_document_says(place: Place, place_of: tuple[str, str]) -> None:
    operation = OPERATIONS[place_of]
    _fuzzed(place, operation, GenerationMode.POSITIVE)()
    if operation.query or operation.body:
        # A path alone cannot be wrong: whatever stands there is a name.
        _fuzzed(place, operation, GenerationMode.NEGATIVE)()


def _fuzzed(place: Place, operation: Any, mode: GenerationMode) -> Callable[[], None]:
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case: Any) -> None:
        is_endless = (operation.method.lower(), operation.path) in ENDLESS
        for client in place.clients.values():
            _judge(operation, _begun(client, case) if is_endless else _send(client, case))

    return fuzz


def _begun(client: httpx2.Client, case: Any) -> httpx2.Response:
    """What came at first of an answer that never ends; a refusal is read whole."""
    with client.stream(**_asked(client, case)) as reply:
        if reply.status_code >= 400:
            return httpx2.Response(reply.status_code, headers=reply.headers, content=reply.read())
        first = next(reply.iter_bytes(), b"")
        assert 0 < len(first) <= MAX_READ
        return httpx2.Response(reply.status_code, headers=reply.headers, content=first)


def _send(client: httpx2.Client, case: Any) -> httpx2.Response:
    return client.request(**_asked(client, case))


def _asked(client: httpx2.Client, case: Any) -> dict[str, Any]:
    asked = case.as_transport_kwargs(base_url=str(client.base_url))
    asked.pop("cookies", None)
    asked = {name: value for name, value in asked.items() if value is not None}
    if "data" in asked:
        asked["content"] = asked.pop("data")
    return asked


def _judge(operation: Any, reply: httpx2.Response) -> None:
    where = f"{operation.method} {operation.path}: {reply.status_code} {reply.content[:300]!r}"
    assert reply.status_code < 500, where
    media_type = reply.headers.get("content-type", "").partition(";")[0]
    if reply.status_code >= 400:
        assert media_type == wire.PROBLEM_MEDIA_TYPE, where
        problem = msgspec.json.decode(reply.content, type=wire.Problem)
        assert problem.status == reply.status_code, where
        assert problem.code in CODES, where
        return
    documented = DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"]
    assert str(reply.status_code) in documented, where
    if media_type == EVENT_STREAM:
        # The last line may have come in part.
        lines = reply.content.decode().split("\n")[:-1]
        assert lines[0].startswith("retry: "), where
        assert all(EVENT_LINE.fullmatch(line.rstrip("\r")) for line in lines), where
        return
    content = documented[str(reply.status_code)].get("content", {})
    if media_type == wire.JSON_MEDIA_TYPE and media_type in content:
        schema = {**content[media_type]["schema"], "components": DOCUMENT["components"]}
        jsonschema_rs.validator_for(schema).validate(reply.json())
