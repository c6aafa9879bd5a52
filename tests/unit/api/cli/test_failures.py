"""A command says what failed in plain words: a code, no name of a Python class, no path of the machine."""

import socket
import ssl
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import failures
from api.cli.main import app
from api.client import http

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
