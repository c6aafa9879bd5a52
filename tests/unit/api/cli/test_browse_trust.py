"""Whom `flexledger browse` trusts where no policy is given: the roots and every key of the log that the party file pins."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from api.cli import browse
from api.client.party import PartyFile
from ledger.tlog.note import NoteSigner
from pki.errors import PkiError
from pki.trust import DevelopmentCredential
from tests.support import house as houses

ORIGIN = "log.example/browse"


@pytest.fixture(scope="module")
def pem() -> str:
    return houses.perform().hierarchy.root.certificate.public_bytes(Encoding.PEM).decode()


def pinned(folder: Path, pem: str, keys: int) -> Any:
    (folder / "ca.pem").write_text(pem)
    vkeys = tuple(NoteSigner.generate(ORIGIN).vkey for _ in range(keys))
    return cast("PartyFile", SimpleNamespace(ca=folder / "ca.pem", vkeys=vkeys))


@pytest.mark.parametrize("keys", [1, 2, 3])
def test_a_log_that_changes_its_key_is_believed_under_each_that_is_pinned(tmp_path: Path, pem: str, keys: int) -> None:
    party = pinned(tmp_path, pem, keys)
    made, digest = browse.trusted_by(party, None, development=True)
    assert [one.vkey for one in made.log_keys()] == list(party.vkeys)
    assert digest is None
    asked = made.witnessing()
    assert asked is None or (asked.quorum is None and not asked.witnesses)


@pytest.mark.parametrize("ending", ["", "\n", "\n# a note behind it\n"])
def test_roots_are_read_as_a_bundle_of_pem_however_the_file_ends(tmp_path: Path, pem: str, ending: str) -> None:
    made, _ = browse.trusted_by(pinned(tmp_path, pem.rstrip("\n") + ending, 1), None, development=True)
    assert made.roots == (pem,)


def test_a_development_root_is_not_trusted_unasked_and_a_file_without_roots_is_none(tmp_path: Path, pem: str) -> None:
    with pytest.raises(DevelopmentCredential):
        browse.trusted_by(pinned(tmp_path, pem, 1), None, development=False)
    with pytest.raises(PkiError):
        browse.trusted_by(pinned(tmp_path, "no root\n", 1), None, development=True)
