"""Reading what somebody names on the command line: files, and nothing that is not one."""

import os
import stat
from pathlib import Path

from api.verification.errors import BundleUnusable


def read_file(path: Path, limit: int) -> bytes:
    """The file's bytes; one more than `limit` at most, which whoever reads them refuses. Raises `BundleUnusable`.

    A pipe or a device is refused before it is read: it may never end, or never begin.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BundleUnusable("not a file", file=path.name)
            return file.read(limit + 1)
    except OSError as error:
        raise BundleUnusable("the file cannot be read", found=error.strerror, file=path.name) from error
