"""An auditor installs three packages and the command line's library; verification must reach for no other."""

import subprocess
import sys

import pytest

from tests.conftest import PlayedDay

pytestmark = [pytest.mark.day, pytest.mark.timeout(300)]

BASE = ("msgspec", "cryptography", "pyasn1", "typer")
# What those four bring along themselves (cffi for cryptography; the rest for typer).
BROUGHT = (
    "cffi",
    "_cffi_backend",
    "rich",
    "markdown_it",
    "mdurl",
    "pygments",
    "shellingham",
    "annotated_doc",
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "typing_extensions",
    "typing_inspection",
)
OURS = ("api", "ledger", "pki")

GUARDED = f"""
import sys
allowed = set(sys.stdlib_module_names) | set({(*BASE, *BROUGHT, *OURS)!r}) | set(sys.modules)
class Guard:
    def find_spec(self, name, path=None, target=None):
        # The interpreter's own build data has the platform in its name.
        if name.partition(".")[0] not in allowed and not name.startswith("_sysconfigdata"):
            raise ModuleNotFoundError("not in the base install: " + name, name=name)
sys.meta_path.insert(0, Guard())
from api.cli.main import app
app(sys.argv[1:])
"""


def guarded(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GUARDED, *words], capture_output=True, text=True, check=False, timeout=120
    )


def test_a_bundle_verifies_with_the_base_install(played_day: PlayedDay) -> None:
    done = guarded("verify", str(played_day.folder / "bundles" / "fsr-d-droop.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "VERIFIED" in done.stdout


def test_a_log_is_audited_with_the_base_install(played_day: PlayedDay) -> None:
    done = guarded("audit", str(played_day.folder))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_guard_itself_would_notice() -> None:
    """A guard that lets everything through proves nothing."""
    done = guarded("serve", "no-such-file.toml")
    assert done.returncode != 0
    assert "not in the base install" in done.stderr
