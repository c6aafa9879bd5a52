"""What is no file is refused at once, wherever files are read: nothing waits for the other end of a pipe."""

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api import issuing, key_files
from api.cli import gateway, witness_settings
from api.cli.files import read_file
from api.client import party
from api.client.tls import client_context
from api.errors import ApiError
from api.execution.ocpp import access
from api.flows import office_lists, roots
from api.web import tls
from ledger import plain_file
from ledger.errors import LedgerError
from ledger.privacy import export_verify
from ledger.privacy.exports import policies
from ledger.privacy.kekring import KekRingFile
from ledger.store.signer_state import SignerState
from pki import keys
from pki import plain_file as pki_plain_file
from pki.errors import PkiError

READERS: dict[str, Callable[[Path], Any]] = {
    "log key": key_files.read_log_keys,
    "paper of a root": roots.read_paper,
    "signer state": lambda path: SignerState(path).read(),
    "statement key": lambda path: keys.load_private(path, None),
    "password": issuing.read_password,
    "blocked keys": issuing.read_blocked,
    "key ring": KekRingFile.open,
    "export policy": policies.read,
    "export": lambda path: export_verify.verify_export(path, signer_key=Ed25519PrivateKey.generate().public_key()),
    "party": party.load,
    "witness": witness_settings.load,
    "gateway secret": gateway.read_or_make_secret,
    "command line": lambda path: read_file(path, 100),
    "own TLS": lambda path: tls.public_context(path, path),
    "TLS": lambda path: tls.server_context(path, path, path, False),
    "client's TLS": client_context,
    "stations' TLS": lambda path: access.server_context(path, path, path),
    "lists": lambda path: office_lists.read(path.parent),
    "ledger": plain_file.read,
    "pki": pki_plain_file.read,
}


@pytest.mark.parametrize("reader", READERS)
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, reader: str) -> None:
    pipe = tmp_path / "pipe.pem"
    os.mkfifo(pipe, 0o600)
    with pytest.raises((ApiError, LedgerError, PkiError, OSError)) as refused:
        READERS[reader](pipe)
    assert not isinstance(refused.value, ssl.SSLError)


@pytest.mark.parametrize(("path", "said"), [("/dev/zero", "a device, not a file"), ("/", "a folder, not a file")])
def test_what_it_is_instead_is_said(path: str, said: str) -> None:
    for opened in (plain_file.opened, pki_plain_file.opened):
        with pytest.raises(OSError, match=said):
            opened(Path(path))


def test_a_file_is_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"words")
    (tmp_path / "link").symlink_to("file")
    assert plain_file.read(tmp_path / "link") == pki_plain_file.read(tmp_path / "link") == b"words"
    assert plain_file.require(tmp_path / "link") == tmp_path / "link"
