"""Where the gateway listens, and to whom: nobody guesses its secret, and no second gateway takes the place of a first."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import gateway
from api.cli.gateway import SecretUnfit, SocketTaken, read_or_make_secret, unix_socket
from api.cli.main import app


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"x" * (gateway.MIN_SECRET - 1), b"x" * (gateway.MAX_SECRET + 1), b"x y" * 10, b"\xff\xfe" * 20],
)
def test_a_secret_that_is_none_opens_nothing(tmp_path: Path, data: bytes) -> None:
    """An empty file, as a full disk leaves it, would have let in whoever shows an empty secret."""
    file = tmp_path / "gateway.secret"
    file.write_bytes(data)
    file.chmod(0o600)
    with pytest.raises(SecretUnfit) as refused:
        read_or_make_secret(file)
    assert file.read_bytes() == data
    assert "x" * 10 not in str(refused.value)


def test_a_secret_has_a_least_and_a_greatest_length(tmp_path: Path) -> None:
    for length in (gateway.MIN_SECRET, gateway.MAX_SECRET):
        file = tmp_path / f"{length}.secret"
        file.write_text("x" * length + "\n")
        file.chmod(0o600)
        assert read_or_make_secret(file) == "x" * length


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "gateway.secret"
    made = read_or_make_secret(file)
    assert len(made) >= gateway.MIN_SECRET
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_or_make_secret(file) == made
    assert [one.name for one in tmp_path.iterdir()] == ["gateway.secret"]
    file.chmod(0o640)
    with pytest.raises(SecretUnfit):
        read_or_make_secret(file)


def test_a_gateway_that_runs_keeps_its_socket_and_one_that_is_gone_does_not(tmp_path: Path) -> None:
    place = tmp_path / "g.sock"
    first = unix_socket(place)
    first.listen()
    assert place.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SocketTaken):
        unix_socket(place)
    first.close()
    unix_socket(place).close()
    place.unlink()
    place.write_bytes(b"")
    with pytest.raises(SocketTaken):
        unix_socket(place)


@pytest.mark.parametrize("command", ["gateway", "browse"])
@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_is_none_is_refused_before_anything_is_read(tmp_path: Path, command: str, port: str) -> None:
    done = CliRunner().invoke(app, [command, str(tmp_path / "absent"), "--port", port])
    assert done.exit_code == 2
    assert "--port" in done.output
