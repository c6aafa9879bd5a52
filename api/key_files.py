"""Files with private keys: read only where nobody else can read them, changed in one step.

The file of the log's keys holds one a line, the older first. A second one came by `flexledger log rotate-key`, with
the time for which both shall sign, in milliseconds, behind it; the log announces it, and from then on both sign.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.errors import Refused
from ledger import plain_file
from ledger.store.log_keys import MAX_HELD
from ledger.tlog.errors import KeyMalformed
from ledger.tlog.note import NoteSigner

MAX_KEY_FILE_BYTES: Final = 16 * 1024
DEFAULT_OVERLAP_MS: Final = 30 * 86_400_000
MIN_OVERLAP_MS: Final = 1_000
MAX_OVERLAP_MS: Final = 366 * 86_400_000


class KeyFileExposed(Refused):
    """A key file that others can read."""

    code = "api/key-file-exposed"
    title = "Key file is exposed"


class KeyFileUnfit(Refused):
    """A file with a secret that is not what such a file holds: text in ASCII, and little of it."""

    code = "api/key-file-unfit"
    title = "Key file cannot be used"


class KeyRotationOpen(Refused):
    """The log's last change of key is not over: its file still holds two."""

    code = "api/key-rotation-open"
    title = "A change of the log's key is not over"


class KeyRotationNone(Refused):
    """The file of the log's key holds one: there is none to retire."""

    code = "api/key-rotation-none"
    title = "There is no change of the log's key"


@dataclass(frozen=True, slots=True)
class HeldKeys:
    """What the file holds: one key or two, and for how long both shall sign."""

    signers: tuple[NoteSigner, ...]
    overlap_ms: int = DEFAULT_OVERLAP_MS


def secret_text(path: Path) -> str:
    """A key file's text; raises `KeyFileExposed` if others may read it: by its mode bits, for we may be root.

    Raises `KeyFileUnfit` for a file that is not text in ASCII, is too long or empty; OSError if it cannot be opened.
    """
    with plain_file.opened(path) as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise KeyFileExposed("others can read the key file", expected="mode 0600", file=path.name)
        data = file.read(MAX_KEY_FILE_BYTES + 1)
    if len(data) > MAX_KEY_FILE_BYTES:
        raise KeyFileUnfit("too long for a key file", expected=f"at most {MAX_KEY_FILE_BYTES} bytes", file=path.name)
    if not data.isascii():
        # Not chained: the error of the decoder carries the bytes.
        raise KeyFileUnfit("not a key file", expected="text in ASCII", found="other bytes", file=path.name)
    text = data.decode("ascii").strip()
    if not text:
        raise KeyFileUnfit("the key file is empty", expected="text in ASCII", found="nothing", file=path.name)
    return text


def read_log_keys(path: Path) -> HeldKeys:
    """The log's private keys; raises `KeyFileExposed`, KeyMalformed."""
    return log_keys_in(secret_text(path))


def log_keys_in(text: str) -> HeldKeys:
    """The keys in the file's text; raises KeyMalformed."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if not 1 <= len(lines) <= MAX_HELD:
        raise KeyMalformed("not a file of a log's keys", expected=f"1 to {MAX_HELD} lines", found=len(lines))
    overlap_ms = DEFAULT_OVERLAP_MS
    for _, *more in lines:
        if more:
            overlap_ms = _milliseconds(more)
    return HeldKeys(tuple(NoteSigner.load(line[0]) for line in lines), overlap_ms)


def _milliseconds(more: list[str]) -> int:
    text = more[0]
    is_number = len(more) == 1 and text.isascii() and text.isdecimal() and len(text) < len(str(MAX_OVERLAP_MS)) + 1
    if not is_number or not MIN_OVERLAP_MS <= int(text) <= MAX_OVERLAP_MS:
        raise KeyMalformed("not a time behind a key", expected=f"{MIN_OVERLAP_MS} to {MAX_OVERLAP_MS} milliseconds")
    return int(text)


def key_to_follow(path: Path) -> NoteSigner:
    """The one key in the file, which another may follow; raises `KeyRotationOpen` where there are two."""
    held = read_log_keys(path).signers
    if len(held) == MAX_HELD:
        raise KeyRotationOpen("retire the older key first", expected="one key", found=len(held), file=path.name)
    return held[0]


def add_log_key(path: Path, fresh: NoteSigner, overlap_ms: int) -> None:
    """The new key stands in the file behind the one in force; raises `KeyRotationOpen`, changing nothing."""
    _replace(path, f"{key_to_follow(path).dump()}\n{fresh.dump()} {overlap_ms}\n")


def retire_log_key(path: Path) -> NoteSigner:
    """The older key is in the file no longer; what is left is given. Raises `KeyRotationNone`, changing nothing."""
    held = read_log_keys(path).signers
    if len(held) != MAX_HELD:
        raise KeyRotationNone("there is only the key in force", expected=MAX_HELD, found=len(held), file=path.name)
    _replace(path, f"{held[1].dump()}\n")
    return held[1]


def _replace(path: Path, text: str) -> None:
    """The file holds `text` for good, or is as it was; nobody else can read it at any moment.

    Where `path` is a link, what it leads to is changed: the older key would stay there else.
    """
    path = path.resolve(strict=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
