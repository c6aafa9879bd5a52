"""`flexledger gateway`: the party's own process that signs, sends and verifies; it listens locally only."""

import os
import secrets
import socket
from pathlib import Path
from typing import Final

import typer

from api.cli import failures
from api.client import party as parties
from api.errors import ApiError, Refused
from api.gateway import Gateway
from api.web import server
from ledger import plain_file
from ledger.clock import SystemClock
from ledger.errors import LedgerError
from pki.errors import PkiError

LOOPBACK: Final = "127.0.0.1"
SECRET_BYTES: Final = 32
OWNER_ONLY: Final = 0o600


class SocketTaken(Refused):
    """Something that is no socket of an earlier gateway stands where the socket should be."""

    code = "api/gateway-socket"
    title = "Socket's place is taken"


def run(party_file: Path, *, at: Path | None, port: int | None, secret_file: Path | None) -> int:
    """Exit code 0 after a signal, 2 if it cannot start."""
    try:
        party = parties.load(party_file)
        folder = party_file.resolve().parent
        server.run(_serve(party, folder, at or folder / "gateway.sock", port, secret_file))
    except (ApiError, LedgerError, PkiError, OSError) as error:
        typer.echo(f"cannot start: {failures.told(error)}", err=True)
        return 2
    return 0


async def _serve(
    party: parties.PartyFile, folder: Path, place: Path, port: int | None, secret_file: Path | None
) -> None:
    client = parties.connect(party, folder / parties.CHECKPOINTS, clock=SystemClock())
    try:
        if port is None:
            listening, secret = unix_socket(place), None
            told = f"curl --unix-socket {place} http://gateway/readyz"
        else:
            kept = secret_file or folder / "gateway.secret"
            listening, secret = loopback_socket(port), read_or_make_secret(kept)
            address = f"http://{LOOPBACK}:{listening.getsockname()[1]}"
            told = f'curl -H "Authorization: Bearer $(cat {kept})" {address}/readyz'
        typer.echo(f"speaking for {party.party} to {party.service}; try:\n  {told}", err=True)
        await server.serve_local(Gateway(client, secret=secret), listening, on_started=lambda: None)
    finally:
        await client.close()


def unix_socket(place: Path) -> socket.socket:
    """A socket that its owner alone may open; one that an earlier gateway left behind is replaced."""
    if place.exists() or place.is_symlink():
        if not place.is_socket():
            raise SocketTaken("not a socket", expected="nothing, or a gateway's socket", file=place.name)
        place.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(place))
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening


def loopback_socket(port: int) -> socket.socket:
    """A socket on the loopback interface; port 0 lets the system choose."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
    except OSError:
        listening.close()
        raise
    return listening


def read_or_make_secret(file: Path) -> str:
    """The secret in a file that its owner alone may read; made where there is none."""
    if file.exists():
        if file.stat().st_mode & 0o077:
            raise SocketTaken("others can read the secret", expected="mode 0600", file=file.name)
        return plain_file.read(file).decode("ascii").strip()
    made = secrets.token_urlsafe(SECRET_BYTES)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    with os.fdopen(handle, "w") as opened:
        opened.write(made + "\n")
    return made
