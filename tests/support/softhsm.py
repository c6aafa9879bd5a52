"""A software token for tests, in a folder of its own; where the library is absent the tests are skipped and say so."""

import importlib
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp

import pytest

from pki import pkcs11

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "1234"
_made: list[Path] = []


def folder() -> Path:
    """Where the tokens of this process are; the library reads its configuration once, so there is one."""
    pytest.importorskip("pkcs11", reason="the extra hsm is not installed")
    tool = shutil.which("softhsm2-util")
    if not MODULE.exists() or tool is None:
        pytest.skip("there is no SoftHSM")
    if not _made:
        place = Path(mkdtemp(prefix="softhsm-"))
        (place / "tokens").mkdir()
        config = place / "softhsm2.conf"
        config.write_text(f"directories.tokendir = {place / 'tokens'}\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(config)
        pin = place / "pin"
        pin.touch(mode=0o600)
        pin.write_text(f"{PIN}\n")
        _made.append(place)
    return _made[0]


def token(label: str) -> Path:
    """A new token of this label; the file with its PIN."""
    place = folder()
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "87654321"],
        check=True,
        capture_output=True,
        timeout=30,
    )
    # A library that was opened before does not know the new token until it looks again.
    pkcs11.forget_sessions()
    importlib.import_module("pkcs11").lib(str(MODULE)).reinitialize()
    return place / "pin"


def uri(label: str, name: str, *, pin: Path | None = None, key_id: str = "") -> str:
    """The place of the key `name` in the token `label`."""
    source = folder() / "pin" if pin is None else pin
    identity = f";id={key_id}" if key_id else ""
    return f"pkcs11:token={label};object={name}{identity}?module-path={MODULE}&pin-source=file:{source}"
