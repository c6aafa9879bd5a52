"""`flexledger browse`: the auditor's pages, served by the reader's own process to the reader's own browser."""

import os
import secrets
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from html import escape
from pathlib import Path
from typing import Final

import typer
from cryptography.hazmat.primitives.serialization import Encoding

from api.cli import failures
from api.cli.files import read_file
from api.cli.gateway import LOOPBACK, loopback_socket
from api.cli.verify import read_policy
from api.client import party as parties
from api.client.party import PartyFile, PartyFileUnfit
from api.errors import ApiError
from api.ui.asked import Asked
from api.ui.pages import Pages
from api.verification.bundle_format import sha256
from api.verification.bundle_policy import MAX_POLICY_BYTES, Policy
from api.web import server
from ledger.clock import SystemClock
from ledger.errors import LedgerError
from pki.errors import PkiError
from pki.trust import TrustAnchors

SECRET_BYTES: Final = 24
MAX_ROOTS_BYTES: Final = 262_144


def run(party_file: Path, *, policy: Path | None, port: int, open_browser: bool, development: bool) -> int:
    """Exit code 0 after a signal, 2 if it cannot start."""
    try:
        party = parties.load(party_file)
        trusted = trusted_by(party, policy, development=development)
        folder = party_file.resolve().parent / parties.CHECKPOINTS
        server.run(_serve(party, folder, *trusted, port, open_browser=open_browser))
    except (ApiError, LedgerError, PkiError, OSError) as error:
        typer.echo(f"cannot start: {failures.told(error)}", err=True)
        if isinstance(error, PkiError) and error.code == "pki/development-credential":
            typer.echo("  a log made for development is read with --development", err=True)
        return 2
    return 0


async def _serve(
    party: PartyFile, folder: Path, trusted: Policy, digest: str | None, port: int, *, open_browser: bool
) -> None:
    client = parties.connect(party, folder, clock=SystemClock())
    try:
        if client.conversation.checkpoints is None:
            raise PartyFileUnfit("this role reads no log", expected="an organisation's party file", found=party.role)
        listening = loopback_socket(port)
        at = listening.getsockname()[1]
        secret = secrets.token_urlsafe(SECRET_BYTES)
        pages = Pages(
            Asked(client, trusted, digest),
            secret=secret,
            hosts=frozenset((f"{LOOPBACK}:{at}", f"localhost:{at}")),
            reader=f"{party.party} ({party.role})",
            service=party.service,
            origin=party.origin,
        )
        address = f"http://{LOOPBACK}:{at}/{secret}/"

        with ExitStack() as kept:

            def tell() -> None:
                typer.echo(
                    f"reading {party.origin} as {party.party}; whoever has this address reads as you:\n  {address}"
                )
                if open_browser:
                    webbrowser.open(kept.enter_context(_leading_to(address, folder)).as_uri())

            await server.serve_local(pages, listening, on_started=tell)
    finally:
        await client.close()


@contextmanager
def _leading_to(address: str, folder: Path) -> Iterator[Path]:
    """A page of the user's own that leads to `address`, gone after the block.

    The browser is given its name: what a process is started with, everybody on the machine may read.
    """
    descriptor, name = tempfile.mkstemp(prefix="browse-", suffix=".html", dir=folder)  # mode 0600
    path = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(
                '<!doctype html><meta charset="utf-8"><title>flexledger</title>'
                f'<meta http-equiv="refresh" content="0;url={escape(address)}">\n'
            )
        yield path.resolve()
    finally:
        path.unlink(missing_ok=True)


def trusted_by(party: PartyFile, policy_file: Path | None, *, development: bool) -> tuple[Policy, str | None]:
    """The policy in the file with its digest, or one of what the party file pins: the log's key and the roots.

    Raises `BundleUnusable` for a file that is no policy, and what `TrustAnchors` raises of the roots.
    """
    found = read_policy(policy_file)
    if found is not None and policy_file is not None:
        return found, sha256(read_file(policy_file, MAX_POLICY_BYTES))
    anchors = TrustAnchors([read_file(party.ca, MAX_ROOTS_BYTES)], allow_development=development)
    roots = tuple(root.public_bytes(Encoding.PEM).decode() for root in anchors.certificates)
    vkey, *others = party.vkeys
    # A log that changes its key is signed by one of several: the policy names the others as keys of the same log.
    lines = [f"log {other}" for other in others]
    keys = "\n".join((*lines, "quorum none", "")) if lines else ""
    return Policy(vkey=vkey, roots=roots, development=development, witnesses=keys), None
