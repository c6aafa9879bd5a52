"""Reading what somebody names on the command line: files, and nothing that is not one."""

import os
from pathlib import Path

from api.verification.errors import BundleUnusable
from ledger import plain_file


def read_file(path: Path, limit: int) -> bytes:
    """The file's bytes; one more than `limit` at most, which whoever reads them refuses. Raises `BundleUnusable`."""
    try:
        with plain_file.opened(path) as file:
            octets = os.fstat(file.fileno()).st_size
            if octets > limit:
                raise BundleUnusable(
                    "the file is too large", expected=f"at most {limit} bytes", found=octets, file=path.name
                )
            # One more, for a file that grows meanwhile.
            return file.read(limit + 1)
    except OSError as error:
        raise BundleUnusable("the file cannot be read", found=error.strerror, file=path.name) from error
