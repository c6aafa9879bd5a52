"""`flexledger gateway`: the party's own process that signs, sends and verifies; it listens locally only."""

import os
import re
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
from pki import durable
from pki.errors import PkiError

LOOPBACK: Final = "127.0.0.1"
SECRET_BYTES: Final = 32
MIN_SECRET: Final = 22
"""Characters; of base64url these are 132 bits."""
MAX_SECRET: Final = 512
OWNER_ONLY: Final = 0o600
_SECRET: Final = re.compile(f"[!-~]{{{MIN_SECRET},{MAX_SECRET}}}")


class SocketTaken(Refused):
    """A gateway that runs, or something that is no gateway's socket, is where the socket should be."""

    code = "api/gateway-socket"
    title = "Socket's place is taken"


class SecretUnfit(Refused):
    """The file with the gateway's secret holds none that nobody guesses, or others can read it."""

    code = "api/gateway-secret-file"
    title = "Gateway's secret cannot be used"


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

        def tell() -> None:
            # Whoever waits for these lines connects at once, or ends us by a signal.
            typer.echo(f"speaking for {party.party} to {party.service}; try:\n  {told}", err=True)

        await server.serve_local(Gateway(client, secret=secret), listening, on_started=tell)
    finally:
        await client.close()


def unix_socket(place: Path) -> socket.socket:
    """A socket that its owner alone may open; one that an earlier gateway left behind is replaced.

    Raises `SocketTaken`, also where somebody listens there, and OSError.
    """
    if place.exists() or place.is_symlink():
        if not place.is_socket():
            raise SocketTaken("not a socket", expected="nothing, or a gateway's socket", file=place.name)
        if _is_heard(place):
            raise SocketTaken("somebody listens there already", expected="one gateway at a socket", file=place.name)
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


def _is_heard(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(str(place))
        except OSError:
            return False
    return True


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
    """The secret in a file that its owner alone may read; made where there is none.

    Raises `SecretUnfit` for one that is short or that no header can have, and OSError.
    """
    if not file.exists():
        durable.write(file, f"{secrets.token_urlsafe(SECRET_BYTES)}\n".encode(), mode=OWNER_ONLY)
    if file.stat().st_mode & 0o077:
        raise SecretUnfit("others can read the secret", expected="mode 0600", file=file.name)
    found = plain_file.read(file).decode("ascii", "replace").strip()
    if not _SECRET.fullmatch(found):
        wanted = f"{MIN_SECRET} to {MAX_SECRET} characters without blanks; or no file, and one is made"
        raise SecretUnfit("not a secret that nobody guesses", expected=wanted, file=file.name)
    return found
