"""What a process of an audit has to load before it can begin: a tenth of a second, not half a one."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # takes seconds

PROGRAM = """
import sys
from ledger.audit import processes, sqlite_source
loaded = set(sys.modules)
print(*sorted(name for name in loaded if name.split(".")[0] in {"cryptography", "pyasn1", "asyncio", "ssl"}))
print(*sorted(name for name in loaded if name.startswith(("ledger.records", "ledger.rules")) and name.count(".") > 1))
"""


def test_without_signatures_it_loads_neither_record_types_nor_cryptography() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    others, ours = done.stdout.splitlines()
    assert others == ""
    assert ours.split() == [
        "ledger.records.actor",
        "ledger.records.canonical",
        "ledger.records.entry",
        "ledger.records.errors",
        "ledger.records.statement_fields",
        "ledger.rules.tables",
    ]
