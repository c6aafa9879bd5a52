"""A checkpoint with a time stamp: asked for and verified by command, with OpenSSL as the authority."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.verification import timestamps
from api.verification.bundle_policy import Policy, encode_policy
from ledger.clock import SetClock
from ledger.tlog import checkpoint, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.note import Cosigner, NoteSigner
from tests.support import tsa
from tests.support.tsa import Tsa

LOG = NoteSigner.generate("example.com/log")
SIGNED = checkpoint.sign(Checkpoint(LOG.name, 12, bytes(range(32))), [LOG])
WITNESS = Cosigner.generate("witness.example/w", SetClock(7_000))


def run(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["timestamp", *map(str, words)])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Tsa:
    return tsa.make(tmp_path_factory.mktemp("tsa") / "a", kind="ec")


@pytest.fixture
def folder(authority: Tsa, tmp_path: Path) -> Path:
    """A checkpoint, the authority's answer about it, and a policy."""
    (tmp_path / "checkpoint").write_bytes(SIGNED)
    assert run("request", tmp_path / "checkpoint", tmp_path / "q.tsq") == (
        0,
        f"sha256 {timestamps.imprint(SIGNED).hex()}\n",
    )
    (tmp_path / "r.tsr").write_bytes(authority.stamp((tmp_path / "q.tsq").read_bytes()))
    (tmp_path / "policy.json").write_bytes(encode_policy(Policy(vkey=LOG.vkey, roots=("not looked at",))))
    return tmp_path


def verify(folder: Path, authority: Tsa, *more: str | Path) -> tuple[int, str]:
    root = authority.folder / "root.pem"
    return run("verify", folder / "checkpoint", folder / "r.tsr", "--tsa", root, *more)


def test_a_stamped_checkpoint_is_verified(folder: Path, authority: Tsa) -> None:
    code, text = verify(folder, authority, "--policy", folder / "policy.json")
    assert (code, "says CN=TSA signer (serial" in text) == (0, True), text
    assert (
        text.splitlines()[-1]
        == "time stamp over the checkpoint of example.com/log at 12 entries: VERIFIED (2 verified)"
    )
    assert "no policy was given" in verify(folder, authority)[1].splitlines()[-1]


def test_cosignatures_that_come_later_change_nothing(folder: Path, authority: Tsa) -> None:
    cosigned = note.add_signatures(SIGNED, [WITNESS.sign(note.parse_text(SIGNED))])
    (folder / "checkpoint").write_bytes(cosigned)
    assert verify(folder, authority, "--policy", folder / "policy.json")[0] == 0


@pytest.mark.parametrize("size", [11, 13])
def test_a_stamp_over_another_checkpoint_refutes(folder: Path, authority: Tsa, size: int) -> None:
    (folder / "checkpoint").write_bytes(checkpoint.sign(Checkpoint(LOG.name, size, bytes(32)), [LOG]))
    code, text = verify(folder, authority, "--policy", folder / "policy.json")
    assert (code, "pki/timestamp-refused" in text) == (1, True)


def test_a_checkpoint_of_another_key_refutes_however_well_stamped(folder: Path, authority: Tsa) -> None:
    (folder / "policy.json").write_bytes(encode_policy(Policy(vkey=NoteSigner.generate(LOG.name).vkey, roots=("x",))))
    code, text = verify(folder, authority, "--policy", folder / "policy.json")
    assert (code, "ledger/note-unverified" in text) == (1, True)


def test_what_cannot_be_read_is_unusable_or_refuted_and_never_written_over(folder: Path, authority: Tsa) -> None:
    assert run("request", folder / "checkpoint", folder / "q.tsq")[0] == 2
    assert run("request", folder / "policy.json", folder / "new.tsq")[0] == 2
    assert not (folder / "new.tsq").exists()
    (folder / "r.tsr").write_bytes(b"rubbish")
    assert verify(folder, authority)[0] == 1
    (folder / "empty.pem").write_bytes(b"")
    assert run("verify", folder / "checkpoint", folder / "r.tsr", "--tsa", folder / "empty.pem")[0] == 2
