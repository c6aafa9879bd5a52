"""A root follows another one in a log that goes on, from the ceremony to the end of the old root, by command."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from api.verification.bundle_policy import Policy, encode_policy
from api.verification.roots_in_time import RootNotInForce
from pki import keys, vouching
from tests.unit.api.cli.test_log_life import DAY_MS, ORIGIN, Port, audited, beside, pristine, run, until

__all__ = ["pristine"]
pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.slow]


@pytest.fixture
def port(pristine: Path, tmp_path: Path) -> Port:
    shutil.copytree(pristine / "old", tmp_path / "old")
    return Port(tmp_path / "old", tmp_path / "old" / "clock")


def _at(port: Port, days: int) -> str:
    moment = datetime.fromtimestamp(int(port.clock.read_text()) // 1000, tz=UTC).timestamp() + days * DAY_MS / 1000
    return datetime.fromtimestamp(moment, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ceremony(port: Port, name: str, *steps: str) -> Path | None:
    """A later ceremony over the office of the service; what a root said in it, if one did."""
    file = port.folder / f"{name}.toml"
    file.write_text(f'ceremony = "{name}"\n' + "".join(f"[[steps]]\n{step}\n" for step in steps))
    before = set((port.folder / "issuing" / "papers").glob("*.json"))
    code, text = run("pki", "succession", file, port.config, "--root", port.folder / "credentials" / "root")
    assert code == 0, text
    return next(iter(set((port.folder / "issuing" / "papers").glob("*.json")) - before), None)


def _policy(port: Port, name: str, *roots: x509.Certificate) -> Path:
    pems = tuple(root.public_bytes(Encoding.PEM).decode() for root in roots)
    vkey = (port.folder / "data" / "vkey").read_text().split()[0]
    path = port.folder / f"{name}.json"
    path.write_bytes(encode_policy(Policy(vkey=vkey, roots=pems, development=True)))
    return path


def _root(port: Port, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((port.folder / "issuing" / f"{name}.crt.pem").read_bytes())


async def test_a_running_log_adopts_a_root_that_was_vouched_for_and_ends_the_old_one(port: Port) -> None:
    async with port.running():
        pass
    adopt = f'act = "adopt-root"\nlog = "{ORIGIN}"\nfrom = {_at(port, 1)}'
    paper = _ceremony(port, "roots", 'act = "follow-root"', adopt)
    assert paper is not None
    first, second = _root(port, "root"), _root(port, "root-g2")
    code, text = run("log", "roots", port.config)
    assert (code, vouching.digest(first) in text, vouching.digest(second) in text) == (0, True, False)

    # Another log's paper, and one that nobody signed, change nothing.
    for wrong in (paper.read_bytes().replace(ORIGIN.encode(), b"ledger.example/qq"), b"{}", paper.read_bytes()[:-40]):
        bad = port.folder / "bad.json"
        bad.write_bytes(wrong)
        code, text = run("log", "change-roots", port.config, bad)
        assert (code, "nothing was changed" in text) == (2, True)
    assert not (port.folder / "data" / "roots").exists()
    assert second.public_bytes(Encoding.PEM) not in (port.folder / "pki" / "root.pem").read_bytes()

    async with port.running() as service:
        code, text = await beside("log", "change-roots", port.config, paper)
        assert code == 0, text
        await until(lambda: len(service.desk.state.anchors) == 2)
        assert [one.certificate for one in service.directory.roots] == [first, second]
    code, text = run("log", "roots", port.config)
    assert code == 0
    assert vouching.digest(second) in text
    assert run("log", "change-roots", port.config, paper)[0] == 0  # done before
    for known in ("pki/root.pem", "pki/client-ca.pem"):
        assert second.public_bytes(Encoding.PEM) in (port.folder / known).read_bytes()
    for name, roots in (("first", [first]), ("second", [second]), ("both", [first, second])):
        audited(port.folder, "--policy", _policy(port, name, *roots))

    # The old root ends: not while the service itself signs under it.
    port.later(2 * DAY_MS)
    end = f'act = "retire-root"\nlog = "{ORIGIN}"\nroot = "root"\nuntil = {_at(port, 1)}'
    end_paper = _ceremony(port, "end", 'act = "follow"\ngroup = "CSO"', end)
    assert end_paper is not None
    code, text = run("log", "change-roots", port.config, end_paper)
    assert (code, "api/root-in-use" in text) == (2, True)
    _renew(port)
    async with port.running() as service:
        assert (await beside("log", "change-roots", port.config, end_paper))[0] == 0
        await until(lambda: service.desk.state.anchors[vouching.digest(first)].until_ms is not None)
        old = x509.load_pem_x509_certificate(
            (port.folder / "credentials" / "parties" / "FI-AUR" / "signing.crt.pem").read_bytes()
        )
        x5t = service.directory.add(old.public_bytes(Encoding.DER))
        now_ms = int(port.clock.read_text())
        assert service.directory.credential(x5t, now_ms).party_id == "FI-AUR"
        with pytest.raises(RootNotInForce):
            service.directory.credential(x5t, now_ms + DAY_MS)
    # What was said before is good for ever, for whoever trusts either root.
    port.later(2 * DAY_MS)
    for name in ("first", "second", "both"):
        audited(port.folder, "--policy", port.folder / f"{name}.json")
    assert "doctor/root" not in run("doctor", port.config)[1]


def _renew(port: Port) -> None:
    """The operator has a signing credential of the newest authority, and the service has it."""
    key = keys.generate()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    asked, made = port.folder / "renewal.csr", port.folder / "renewed.pem"
    asked.write_bytes(request.public_bytes(Encoding.DER))
    words = ("--role", "cso", "--party", "FI-NGC", "--organisation", "Northgate", "--purpose", "signing")
    code, text = run("pki", "issue", port.config, asked, *words, "--out", made)
    assert code == 0, text
    shutil.copyfile(made, port.folder / "keys" / "signing.crt.pem")
    (port.folder / "keys" / "signing.key.pem").unlink()
    keys.save_private(port.folder / "keys" / "signing.key.pem", key, None)


async def test_a_root_of_the_settings_that_the_log_has_not_adopted_counts_for_nobody(port: Port) -> None:
    async with port.running():
        pass
    _ceremony(port, "roots", 'act = "follow-root"')
    first = (port.folder / "pki" / "root.pem").read_bytes()
    second = _root(port, "root-g2").public_bytes(Encoding.PEM)
    (port.folder / "pki" / "root.pem").write_bytes(first + second)
    async with port.running() as service:
        assert len(service.directory.roots) == 1
    assert "doctor/root-not-adopted" in run("doctor", port.config)[1]
    (port.folder / "data" / "roots").mkdir()
    (port.folder / "data" / "roots" / "x.json").write_bytes(b"{}")
    assert "doctor/root-paper" in run("doctor", port.config)[1]
    # Without a root that the log has, nothing can be said of the log.
    (port.folder / "pki" / "root.pem").write_bytes(second)
    code, text = run("log", "roots", port.config)
    assert (code, "verify/root-unknown" in text) == (2, True)
    assert "verify/root-unknown" in run("doctor", port.config)[1]
