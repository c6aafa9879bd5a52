"""The privacy officer's commands: each asks the running service as the party whose file it is given."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, Any, Final

import msgspec
import typer
from msgspec import Meta

from api import wire
from api.cli.files import read_file
from api.cli.pki_offline import DONE, answered, say
from api.cli.progress import Bar
from api.cli.words import told
from api.client import party as parties
from api.client.client import AsyncClient
from api.client.http import Answer, Request
from api.errors import ApiError, Refused
from ledger.clock import SystemClock
from ledger.errors import shown
from ledger.privacy import erasure_receipt
from ledger.privacy.exports import sealing
from ledger.records import jws

LOOK_EVERY_S: Final = 1.0
PATIENCE_S: Final = 1_800.0
"""How long an export of everything may take."""
FROM_INPUT: Final = "-"
MAX_PEM_BYTES: Final = 16_384
MAX_NAME_BYTES: Final = 1_024
MAX_BARS: Final = 16


class _Step(msgspec.Struct, frozen=True):
    """How far one piece of work of the service is."""

    what: str
    done: Annotated[int, Meta(ge=0)]
    total: Annotated[int, Meta(ge=0)]


class _Work(msgspec.Struct, frozen=True):
    """All that is under way."""

    steps: tuple[_Step, ...]


class OutTaken(Refused):
    """There is something where the result should be written."""

    code = "api/privacy-out"
    title = "Result's place is taken"


class ReceiptOther(Refused):
    """The service's receipt is about other entries than the log holds."""

    code = "api/receipt-other"
    title = "Erasure receipt of another entry"


def subject_of(said: str) -> str:
    """The name itself, or the first line of the standard input where it is `-`: arguments stand in process lists."""
    return sys.stdin.readline(MAX_NAME_BYTES).strip() if said == FROM_INPUT else said


def post(party: Path, path: str, body: Any, *, json: bool, tell: Callable[[Any], str]) -> int:
    """Posts, and says what came of it: exit 0 done, 2 not."""

    async def run(client: AsyncClient) -> int:
        found = (await _posted(client, path, body)).json()
        say(found, told(tell, found), json=json)
        return DONE

    return _asking(party, run, json=json)


def show(party: Path, path: str, *, json: bool, tell: Callable[[Any], str]) -> int:
    """Reads, and says it."""

    async def run(client: AsyncClient) -> int:
        found = await client.get_json(path)
        say(found, told(tell, found), json=json)
        return DONE

    return _asking(party, run, json=json)


def fetch(party: Path, path: str, body: dict[str, Any], out: Path, *, seal_to: Path | None, json: bool) -> int:
    """Posts, and writes the answer to `out`, which its owner alone may read; shows how far it is meanwhile.

    It has its name when it is whole; what breaks off leaves nothing. Sealed to the public key in `seal_to`, if named.
    """

    async def run(client: AsyncClient) -> int:
        request = _request(path, {**body, **_seal_to(seal_to)})
        _require_free(out)
        with _whole(out) as file:
            answer = await _with_progress(client, client.transport.download(request, file.write))
        digest = answer.headers.get("flexledger-manifest-sha256", "")
        say({"file": str(out), "manifest_sha256": digest}, f"written: {out}\nmanifest {digest}", json=json)
        return DONE

    return _asking(party, run, json=json)


def long_post(party: Path, path: str, body: Any, *, json: bool, tell: Callable[[Any], str]) -> int:
    """As `post`, showing how far it is meanwhile."""

    async def run(client: AsyncClient) -> int:
        found = (await _with_progress(client, _posted(client, path, body))).json()
        say(found, told(tell, found), json=json)
        return DONE

    return _asking(party, run, json=json)


def receipt(party: Path, index: int, out: Path, *, json: bool) -> int:
    """Writes what of one entry was erased, verified against the log: exit 0 verified, 2 not."""

    async def run(client: AsyncClient) -> int:
        _require_free(out)
        data = await client.get_bytes(f"/v1/entries/{index}/erasure-receipt")
        found = erasure_receipt.read(data)
        digests = erasure_receipt.verify(found)
        places = sorted({one.tombstone for one in found.erased})
        for place, text in [(index, found.entry), *zip(places, found.tombstones, strict=True)]:
            if await client.get_bytes(f"/v1/entries/{place}") != jws.decode_base64url(text) or found.index != index:
                raise ReceiptOther("the log holds something else there", index=place)
        with _whole(out) as file:
            file.write(data)
        told = f"{len(digests)} values of entry {index} were erased, under tombstones {places}; written: {out}"
        say({"index": index, "erased": list(digests), "tombstones": places, "file": str(out)}, told, json=json)
        return DONE

    return _asking(party, run, json=json)


def _seal_to(pem: Path | None) -> dict[str, str]:
    """The member with the recipient's key, where there is one; raises `BundleUnusable`, `SealingRefused`."""
    if pem is None:
        return {}
    data = read_file(pem, MAX_PEM_BYTES)
    sealing.public_key(data)
    return {"seal_to": data.decode("ascii", "replace")}


def value_of(text: str) -> Any:
    """The JSON of an option; raises typer.BadParameter."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise typer.BadParameter("not JSON; text stands in quotes") from None


async def _posted(client: AsyncClient, path: str, body: Any) -> Answer:
    return await client.transport.request(_request(path, body))


def _request(path: str, body: Any) -> Request:
    return Request("POST", path, msgspec.json.encode(body), {"content-type": wire.JSON_MEDIA_TYPE})


async def _with_progress(client: AsyncClient, work: Awaitable[Answer]) -> Answer:
    """The answer; whoever looks at a terminal sees how far the service is."""
    task = asyncio.ensure_future(work)
    bars: dict[str, Bar] = {}
    while not task.done():
        await asyncio.wait([task], timeout=LOOK_EVERY_S)
        if task.done() or not sys.stderr.isatty():
            continue
        with suppress(ApiError):
            for step in (await client.transport.request(Request("GET", "/v1/privacy/work"))).decode(_Work).steps:
                if step.total > 0 and (step.what in bars or len(bars) < MAX_BARS):
                    bar = bars.setdefault(step.what, Bar(sys.stderr, time.monotonic, shown(step.what)))
                    bar.show(step.done, step.total)
    return task.result()


def _asking(party: Path, run: Callable[[AsyncClient], Awaitable[int]], *, json: bool) -> int:
    async def with_client(speaker: parties.PartyFile, folder: Path) -> int:
        client = parties.connect(speaker, folder, clock=SystemClock(), timeout_s=PATIENCE_S)
        try:
            return await run(client)
        finally:
            await client.close()

    def act() -> int:
        speaker = parties.load(party)
        return asyncio.run(with_client(speaker, party.resolve().parent / parties.CHECKPOINTS))

    return answered(act, json=json)


def _require_free(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise OutTaken("something is there already", file=out.name)


@contextmanager
def _whole(out: Path) -> Iterator[IO[bytes]]:
    """A file for its owner alone that is at `out` once the block ended well, and nowhere if it did not."""
    try:
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
    except OSError as error:
        # Of the file that was asked for, not of the one that nobody knows.
        raise OSError(error.errno, error.strerror, str(out)) from None
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        try:
            # Not renamed: somebody else's that came meanwhile stays.
            out.hardlink_to(beside)
        except FileExistsError:
            _require_free(out)
            raise
    finally:
        beside.unlink(missing_ok=True)
