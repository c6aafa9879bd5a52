"""Both engines: what asks for `engine` runs on each."""

import pytest

from tests.support import logs


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Logs that the test begins lie on this engine."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres_server")
        monkeypatch.setattr(logs, "medium", logs.Postgres(server.dsn))
    return str(request.param)
