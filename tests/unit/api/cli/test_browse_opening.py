"""What `flexledger browse --open` tells the browser, and everybody else on the machine: nothing of the secret."""

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from api.cli import browse
from api.client.party import PartyFile
from api.verification.bundle_policy import Policy


def test_the_browser_is_started_with_a_file_of_ones_own_and_without_the_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The arguments of a process are readable for all: the address stands in a file that is not, and soon gone."""
    opened: list[str] = []
    seen: list[tuple[int, str]] = []

    def look() -> None:
        path = Path(url2pathname(urlsplit(opened[0]).path))
        seen.append((stat.S_IMODE(path.stat().st_mode), path.read_text()))

    async def serve(_pages: Any, listening: Any, *, on_started: Callable[[], None]) -> None:
        on_started()
        listening.close()
        look()

    async def close() -> None:
        """Nothing to close."""

    client = SimpleNamespace(conversation=SimpleNamespace(checkpoints=object()), close=close)
    monkeypatch.setattr(browse.parties, "connect", lambda *_arguments, **_more: client)
    monkeypatch.setattr(browse.server, "serve_local", serve)
    monkeypatch.setattr(browse.webbrowser, "open", opened.append)
    party = SimpleNamespace(party="FI-AUD", role="AUD", service="https://service.example", origin="log.example")
    asyncio.run(browse._serve(cast("PartyFile", party), tmp_path, cast("Policy", None), None, 0, open_browser=True))
    address = capsys.readouterr().out.split()[-1]
    secret = urlsplit(address).path.strip("/")
    assert secret not in opened[0]
    (mode, text) = seen[0]
    assert mode == 0o600
    assert f"url={address}" in text
    assert list(tmp_path.iterdir()) == []
