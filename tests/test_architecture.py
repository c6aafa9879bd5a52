"""The import directions of the house are kept."""

import re
import subprocess
import sys

from tests.support.vectors import REPOSITORY

RUN = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


def test_every_import_contract_is_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=110
    )
    summary = re.search(r"Contracts: (\d+) kept, (\d+) broken", done.stdout)
    assert summary is not None, done.stdout + done.stderr
    contracts = (REPOSITORY / ".importlinter").read_text(encoding="utf-8").count("[importlinter:contract:")
    assert (int(summary[1]), int(summary[2])) == (contracts, 0), done.stdout
    assert done.returncode == 0
