"""Files that somebody else named are opened only if they are files.

Reading a pipe or a device may never end, and opening a pipe may never begin.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def opened(path: Path) -> BinaryIO:
    """The file, to be read; raises OSError, also for what is no file: its `strerror` says what it is instead."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    kind = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe"}.get(stat.S_IFMT(mode), "a device")
    raise OSError(errno.EINVAL, f"{kind}, not a file", str(path))


def read(path: Path) -> bytes:
    """All of the file; raises OSError as `opened`."""
    with opened(path) as file:
        return file.read()
