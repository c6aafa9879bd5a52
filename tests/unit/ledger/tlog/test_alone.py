"""The transparency log knows nothing of energy: it could be a distribution of its own."""

import pkgutil
import subprocess
import sys

import pytest

import ledger.tlog

pytestmark = pytest.mark.slow  # takes seconds

PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
ours = {name for name in sys.modules if name.split(".")[0] in {"ledger", "pki", "api", "devcerts"}}
print(*sorted(name for name in ours if not name.startswith("ledger.tlog")))
print(*sorted({name.split(".")[0] for name in sys.modules} & {"msgspec", "pyasn1", "sqlite3", "asyncio", "socket", "typer"}))
"""


def test_it_imports_nothing_but_errors_clock_and_cryptography() -> None:
    modules = [f"ledger.tlog.{one.name}" for one in pkgutil.iter_modules(ledger.tlog.__path__)]
    assert len(modules) >= 10
    done = subprocess.run([sys.executable, "-c", PROGRAM, *modules], capture_output=True, text=True, check=True)
    ours, others = done.stdout.splitlines()
    assert ours.split() == ["ledger", "ledger.clock", "ledger.errors"]
    assert others.split() == []
