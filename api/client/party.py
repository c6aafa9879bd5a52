"""`party.toml`: where a party's service is, what it trusts, and which keys are its own; one file for every client."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from api.client.checkpoints import Checkpoints, FileCheckpoints
from api.client.client import AsyncClient
from api.client.http import TIMEOUT_S, AsyncTransport
from api.client.signer import StatementSigner
from api.errors import Refused
from ledger import plain_file, toml_text
from ledger.clock import Clock
from ledger.tlog import note
from pki import keys

FILE: Final = "party.toml"
CHECKPOINTS: Final = "checkpoints"
"""Folder beside the file: every checkpoint that was ever seen, which is the evidence if the log forks."""
MAX_BYTES: Final = 65_536


class PartyFileUnfit(Refused):
    """The file of a party cannot be read, or does not say what a client needs."""

    code = "api/party-file"
    title = "Party file cannot be used"


class KeyPair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PEM files: a certificate with its chain, and its key (mode 0600)."""

    certificate: Path
    key: Path


class PartyFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a client of one party needs; paths are relative to the file."""

    service: Annotated[str, Meta(pattern=r"^https://[A-Za-z0-9.:\[\]-]+$", max_length=256)]
    ca: Path
    """PEM bundle of the roots that the service's certificate is under."""
    origin: Annotated[str, Meta(min_length=1, max_length=128)]
    vkeys: Annotated[tuple[Annotated[str, Meta(max_length=512)], ...], Meta(min_length=1, max_length=8)]
    """The log's keys, in the format of signed notes; more than one while it changes its key."""
    party: Annotated[str, Meta(min_length=1, max_length=64)]
    role: Annotated[str, Meta(pattern=r"^[A-Z]{2,7}$")]
    tls: KeyPair
    signing: KeyPair | None = None
    """None for who only reads."""


def load(path: Path) -> PartyFile:
    """The file at `path`, with absolute paths; raises `PartyFileUnfit`."""
    try:
        with plain_file.opened(path) as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise PartyFileUnfit("the file is too large", expected=f"at most {MAX_BYTES} bytes", file=path.name)
        return toml_text.decode(data, PartyFile, dec_hook=_beside(path.resolve().parent))
    except OSError as error:
        raise PartyFileUnfit("the file cannot be read", found=error.strerror, file=path.name) from None
    except msgspec.ValidationError as error:
        raise PartyFileUnfit("the file does not fit", found=str(error), file=path.name) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PartyFileUnfit("the file is not TOML", file=path.name) from None


def save(path: Path, party: PartyFile) -> None:
    """Writes the file; paths stand in it as they are in `party`."""
    lines = [
        "# What a client of this party needs (docs/how-to/use-the-gateway.md); paths are relative to this file.",
        *(f"{name} = {json.dumps(str(getattr(party, name)))}" for name in ("service", "ca", "origin", "party", "role")),
        f"vkeys = {json.dumps(list(party.vkeys))}",
    ]
    for name, pair in (("tls", party.tls), ("signing", party.signing)):
        if pair is not None:
            files = (f"{part} = {json.dumps(str(getattr(pair, part)))}" for part in ("certificate", "key"))
            lines += ["", f"[{name}]", *files]
    path.write_text("\n".join(lines) + "\n")


def connect(party: PartyFile, folder: Path, *, clock: Clock, timeout_s: float = TIMEOUT_S) -> AsyncClient:
    """The party's client, which keeps the checkpoints that it sees in `folder`, and waits so long for an answer.

    Raises what `keys.load_private` raises for a key that others may read, `PartyFileUnfit`, `SigningKeyUnfit`.
    """
    for pair in (party.tls, party.signing):
        if pair is not None:
            keys.load_private(pair.key, None)
    signer = None
    if party.signing is not None:
        signer = StatementSigner.load(
            party=party.party,
            key=party.signing.key,
            certificate=party.signing.certificate,
            audience=party.origin,
        )
    verifiers = [note.parse_vkey(vkey) for vkey in party.vkeys]
    try:
        transport = AsyncTransport(
            party.service, ca=party.ca, cert=party.tls.certificate, key=party.tls.key, timeout_s=timeout_s
        )
    except OSError as error:  # ssl.SSLError is one
        raise PartyFileUnfit("certificate, key or roots cannot be used", found=error.strerror) from None
    return AsyncClient(
        transport,
        signer=signer,
        # A person's words are relayed: the entry is the port's own, so its receipt is not for what the person signed.
        checkpoints=None if party.role == "EVU" else Checkpoints(party.origin, verifiers, FileCheckpoints(folder)),
        clock=clock,
    )


def _beside(folder: Path) -> Any:
    def resolve(kind: type, value: Any) -> Any:
        if kind is Path and isinstance(value, str) and value:
            return folder / value
        raise ValueError("Expected a path")

    return resolve
