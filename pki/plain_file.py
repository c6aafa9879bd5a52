"""Files that somebody else named are opened only if they are files.

Reading a pipe or a device may never end, and opening a pipe may never begin. A file has an end, but it may be far away.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

MAX_BYTES: Final = 64 * 2**20
"""Where nobody says less: more than any certificate, list, key or settings that is read as a whole."""


def opened(path: Path) -> BinaryIO:
    """The file, to be read; raises OSError, also for what is no file: its `strerror` says what it is instead."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    kind = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe"}.get(stat.S_IFMT(mode), "a device")
    raise OSError(errno.EINVAL, f"{kind}, not a file", str(path))


def read(path: Path, limit: int = MAX_BYTES) -> bytes:
    """All of the file; raises OSError as `opened`, and where it is larger than `limit`."""
    with opened(path) as file:
        _require_size(file, limit, path)
        # One more, for a file that grows meanwhile.
        data = file.read(limit + 1)
    if len(data) > limit:
        raise _too_large(limit, path)
    return data


def _require_size(file: BinaryIO, limit: int, path: Path) -> None:
    """Also a file in which nothing is written has a size, and costs its maker nothing."""
    if os.fstat(file.fileno()).st_size > limit:
        raise _too_large(limit, path)


def _too_large(limit: int, path: Path) -> OSError:
    return OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))
