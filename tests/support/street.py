"""A service of the demonstration's parties as a process, with a TLS client for each of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from api.cli import init
from api.cli.demo import cast, stage
from api.client.client import AsyncClient
from pki.ceremony import Ceremony


@asynccontextmanager
async def open_street(folder: Path, made: Ceremony) -> AsyncIterator[tuple[stage.Server, dict[str, AsyncClient]]]:
    """The service laid out in `folder` and running at nine in the morning of the day, and everybody's clients."""
    clock = stage.StageClock(folder / "clock", cast.at(9))
    config = init.lay_out(
        folder / "service",
        made,
        party=cast.CSO,
        origin=cast.ORIGIN,
        clock_file=clock.path,
        port=0,
        ocpp_port=0,
        ops_port=0,
    )
    server = await stage.start(config, folder)
    clients = stage.connect_clients(folder, made, server, clock)
    try:
        yield server, clients
    finally:
        for client in clients.values():
            await client.close()
        stage.stop(server.process)
