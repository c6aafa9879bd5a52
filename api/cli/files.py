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
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise BundleUnusable("not a file", expected="a file", found=_kind(found.st_mode), file=path.name)
            if found.st_size > limit:
                raise BundleUnusable(
                    "the file is too large", expected=f"at most {limit} bytes", found=found.st_size, file=path.name
                )
            # One more, for a file that grows meanwhile.
            return file.read(limit + 1)
    except OSError as error:
        raise BundleUnusable("the file cannot be read", found=error.strerror, file=path.name) from error


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
