"""One writer a log: an advisory lock on a file beside the database, given back by the kernel when we die."""

import os
from pathlib import Path

from ledger.store.errors import StoreLocked

try:
    import fcntl
except ImportError:  # pragma: no cover -- Windows, where an auditor reads and nobody writes
    fcntl = None  # type: ignore[assignment]


class WriterLock:
    """Held from construction to `release`; a second one on the same path raises StoreLocked, in any process."""

    def __init__(self, path: Path) -> None:
        """Takes the lock; raises StoreLocked."""
        if fcntl is None:  # pragma: no cover
            raise StoreLocked("no file locks on this system", expected="a POSIX system for writing")
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # flock, not lockf: it belongs to this open file, so a second store in this process is refused too.
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise StoreLocked("another process writes this log", expected="one writer") from error

    def release(self) -> None:
        """The next writer may come."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
