"""What a recipient or an auditor runs reaches no database, no socket and no event loop."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["ledger.privacy.export_verify", "ledger.privacy.openings"])
def test_offline_checks_load_nothing_that_reaches_outside(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert module in loaded
    assert not {"sqlite3", "asyncio", "socket", "asyncpg", "ledger.privacy.vault", "litestar"} & set(loaded)
