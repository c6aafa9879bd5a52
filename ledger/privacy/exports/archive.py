"""The one archive: POSIX ustar, plain files in one flat folder, nothing else; written deterministically, read strictly.

Any `tar` reads it. The reader here refuses whatever the writer does not write: links, folders, paths, extensions.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, Protocol

from ledger.privacy.errors import ExportMalformed, ExportTooLarge

BLOCK: Final = 512
MAX_FILES: Final = 16
MAX_FILE_BYTES: Final = 2**33 - 1
MAX_ARCHIVE_BYTES: Final = 4 * 2**30

_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,31}\.[a-z]{3,5}", re.ASCII)


def require_name(name: str) -> str:
    """`name` if it is a plain file name of an export; raises `ExportMalformed`, so that nothing leaves the folder."""
    if not _NAME.fullmatch(name):
        raise ExportMalformed("not a file name of an export", expected="lower-case letters, a dot, an extension")
    return name


def write(files: Mapping[str, bytes]) -> bytes:
    """The archive of these files, in the order of their names; the same files give the same bytes."""
    return b"".join(pieces((name, len(files[name]), [files[name]]) for name in sorted(files)))


def pieces(members: Iterable[tuple[str, int, Iterable[bytes]]]) -> Iterator[bytes]:
    """The archive of (name, size, content), a piece at a time; the names are in order, and the sizes true."""
    for name, size, content in members:
        yield _header(require_name(name), size)
        yield from content
        yield bytes(-size % BLOCK)
    yield bytes(2 * BLOCK)


def size(sizes: Iterable[int]) -> int:
    """How many bytes the archive of files of these sizes has."""
    return sum(BLOCK + one + -one % BLOCK for one in sizes) + 2 * BLOCK


class Octets(Protocol):
    """An archive as it lies somewhere: read where one likes."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def read_at(self, offset: int, size: int) -> bytes:
        """So many from there on; fewer only at the end."""
        ...


class Place(NamedTuple):
    """Where a file begins in the archive, and how long it is."""

    offset: int
    size: int


def places(octets: Octets) -> dict[str, Place]:
    """Where the files of an archive are that `write` could have made; their content is not looked at.

    Raises `ExportMalformed`, `ExportTooLarge`.
    """
    if octets.size > MAX_ARCHIVE_BYTES:
        raise ExportTooLarge("the archive is too large", expected=f"at most {MAX_ARCHIVE_BYTES} bytes")
    found: dict[str, Place] = {}
    at, last = 0, ""
    while (header := octets.read_at(at, BLOCK)) != bytes(BLOCK):
        if len(found) >= MAX_FILES:
            raise ExportMalformed("too many files", expected=f"at most {MAX_FILES}")
        name, length = _parse_header(header)
        is_there = 0 <= length <= octets.size - at - BLOCK
        if name <= last or not is_there or header != _header(name, length):
            raise ExportMalformed("a member repeats, is out of order, is cut off, or is not a plain file", offset=at)
        found[name] = Place(at + BLOCK, length)
        at, last = at + BLOCK + length, name
        padding = -length % BLOCK
        if octets.read_at(at, padding) != bytes(padding):
            raise ExportMalformed("a member is not followed by zeros", offset=at)
        at += padding
    if octets.size != at + 2 * BLOCK or octets.read_at(at, 2 * BLOCK) != bytes(2 * BLOCK):
        raise ExportMalformed("the archive does not end with two blocks of zeros", offset=at)
    return found


def read(data: bytes) -> dict[str, bytes]:
    """The files of an archive that `write` could have made; raises `ExportMalformed`, `ExportTooLarge`."""
    return {name: data[at : at + length] for name, (at, length) in places(_Held(data)).items()}


class _Held:
    """Octets in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]


def _parse_header(header: bytes) -> tuple[str, int]:
    if len(header) != BLOCK:
        raise ExportMalformed("the archive is cut off")
    try:
        name = require_name(header[:100].rstrip(b"\0").decode("ascii"))
        return name, int(header[124:135].decode("ascii"), 8)
    except (UnicodeDecodeError, ValueError) as error:
        raise ExportMalformed("not a member of an export") from error


def _header(name: str, size: int) -> bytes:
    if size > MAX_FILE_BYTES:
        raise ExportTooLarge("a file is too large for ustar", expected=f"at most {MAX_FILE_BYTES} bytes", found=size)
    fields = [
        (name.encode("ascii"), 100),
        (b"0000644\0", 8),
        (b"0000000\0", 8),
        (b"0000000\0", 8),
        (b"%011o\0" % size, 12),
        (b"00000000000\0", 12),
        (b" " * 8, 8),
        (b"0", 1),
        (b"", 100),
        (b"ustar\x0000", 8),
    ]
    header = b"".join(value.ljust(width, b"\0") for value, width in fields).ljust(BLOCK, b"\0")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]
