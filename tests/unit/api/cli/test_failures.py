"""A command says what failed in plain words: a code, no name of a Python class, no path of the machine."""

import errno
import os
import re
import socket
import ssl
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from api.cli import entry, failures, gateway
from api.cli.main import app
from api.client import http
from tests.support.tls_files import Authority

_NAMES = ("Error", "Errno", "Exception", "Traceback")


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


@pytest.fixture
def absent(tmp_path: Path) -> Path:
    return tmp_path / "absent.toml"


def test_every_command_that_is_given_a_missing_file_says_so(tmp_path: Path, absent: Path) -> None:
    out = tmp_path / "out"
    origin = ("--party", "FI-NGC", "--origin", "log.example/x")
    enrolling = ("--service", "https://localhost:1", "--ca", absent, "--out", out)
    for arguments in (
        ("init", out, "--ceremony", absent, *origin),
        ("init", out, "--ceremony", tmp_path, *origin),
        ("serve", absent),
        ("gateway", absent),
        ("witness", "run", absent),
        ("enroll", "a:b", *enrolling),
        ("pki", "list", absent),
    ):
        code, text = run(*arguments)
        assert code == 2, arguments
        assert not any(name in text for name in _NAMES), text
        assert str(tmp_path) not in text, text
        assert "/" in text.split(": ")[1], text  # a code
    assert not out.exists()


def test_a_root_that_is_none_is_called_so_before_anything_is_sent(tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_text("nobody")
    code, text = run("enroll", "a:b", "--service", "https://localhost:1", "--ca", root, "--out", tmp_path / "out")
    assert (code, "api/no-certificate" in text) == (2, True), text
    assert not (tmp_path / "out").exists()


def test_errors_of_the_system_have_codes_too(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as absent:
        (tmp_path / "gone").read_bytes()
    assert failures.told(absent.value) == (
        "api/file-unusable: file=gone: it cannot be used; found No such file or directory"
    )
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="in use") as taken:
            second.bind(first.getsockname())
    assert failures.told(taken.value).startswith("api/file-unusable: it cannot be used; found Address already in use")
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ssl.SSLError) as unfit:
        http.Transport("https://localhost:1", ca=tmp_path / "empty.pem")
    assert failures.told(unfit.value).startswith("api/input-unfit: ")
    assert failures.told(ValueError("no key in it")) == "api/input-unfit: it cannot be read; found no key in it"


def test_whatever_a_file_turns_out_to_be_no_command_ends_in_a_traceback(tmp_path: Path) -> None:
    """A link that leads to itself, a folder, a pipe, octets that are no text."""
    loop, pipe, octets, taken = (tmp_path / name for name in ("loop", "pipe", "octets", "taken"))
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    octets.write_bytes(b"\xce\x00\xff")
    taken.mkdir()
    (taken / "something").touch()
    out, day = tmp_path / "out", octets / "day"
    named = ("--name", "witness.example/a", "--log", octets)
    crl = ("claim", "crl", "--store", out, "--out", out)
    good = Authority(tmp_path / "ca").client("FI-LAB", "CB").cert
    for arguments in (
        ("gateway", loop),
        ("witness", "run", loop),
        ("witness", "forks", loop),
        ("witness", "init", out, *named),
        ("privacy", "notices", "--party", loop),
        ("privacy", "access", "p", "--party", octets, "--out", out, "--seal-to", octets),
        ("privacy", "access", "p", "--party", octets, "--out", out, "--seal-to", taken),
        (*crl, "--key", taken, "--cert", octets),
        (*crl, "--key", taken, "--cert", good),
        ("simulate", "--for", "1", "--frequency", pipe),
        ("timestamp", "request", octets, taken),
        ("demo", "--out", octets),
        ("demo", "--out", day),
        ("demo", "--out", taken),
        ("dev", "--dir", octets),
        ("dev", "--dir", day),
        ("dev", "--dir", taken),
        ("dev-request", octets),
        ("scenario", "none"),
    ):
        code, text = run(*arguments)
        assert code == 2, (arguments, text)
        assert re.search(r"(api|ledger|pki)/[a-z-]+: ", text), (arguments, text)
        assert not any(name in text.replace("─ Error ─", "") for name in _NAMES), text
    assert not out.exists()
    assert [one.name for one in taken.iterdir()] == ["something"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("doctor", "absent"),
        ("rebuild", "absent"),
        ("pki", "list", "absent"),
        ("privacy", "notices", "--party", "absent"),
        ("request", "list", "absent"),
        ("renew", "absent"),
        ("log", "roots", "absent"),
        ("export", "verify", "absent", "--signer", "absent"),
        ("claim", "show", "absent"),
        ("verify", "absent"),
        ("audit", "absent"),
        ("scenario", "absent"),
    ],
    ids=" ".join,
)
def test_a_failure_is_one_json_document_where_json_is_asked_for(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code in (1, 2)
    assert '"code":"' in result.stdout
    assert isinstance(msgspec.json.decode(result.stdout), dict)
    assert result.stderr == ""


def test_an_error_of_the_system_that_no_command_thought_of_has_a_code_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere/data")

    monkeypatch.setattr("api.cli.main.app", full)
    monkeypatch.setattr(sys, "argv", ["flexledger", "mirror"])
    with pytest.raises(SystemExit) as left:
        entry.main()
    assert left.value.code == 2
    assert capsys.readouterr().err == (
        "not done: api/file-unusable: file=data: it cannot be used; found No space left on device\n"
    )


def test_the_version_and_the_short_help_are_where_everybody_looks_for_them() -> None:
    assert run("--version") == (0, f"flexledger {version('flexledger')}\n")
    code, text = run("verify", "-h")
    assert (code, "Usage: flexledger verify" in text) == (0, True)


def test_a_gateway_that_is_running_keeps_its_socket_and_a_port_is_a_port(tmp_path: Path) -> None:
    place = tmp_path / "gateway.sock"
    with gateway.unix_socket(place) as first:
        first.listen()
        with pytest.raises(gateway.SocketTaken, match="already"):
            gateway.unix_socket(place)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(place))
    gateway.unix_socket(place).close()
    for command in (("gateway", "party.toml"), ("browse", "party.toml")):
        code, text = run(*command, "--port", "65536")
        assert (code, "65535" in text) == (2, True), text
