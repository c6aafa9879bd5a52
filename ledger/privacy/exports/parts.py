"""The files of an export as a verifier has them: named, with their sizes, read a piece at a time, and again if need be.

Nothing of them is believed. What is on disk may change between two readings, so both compare digests.
"""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from ledger import plain_file
from ledger.privacy.errors import ExportMalformed, ExportTooLarge
from ledger.privacy.exports import archive
from ledger.privacy.exports.archive import Octets

PIECE_BYTES: Final = 65_536
MAX_TOTAL_BYTES: Final = 4 * 2**30


class Parts(Protocol):
    """Where the files are."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """The size of each file by its name."""
        ...

    def pieces(self, name: str) -> Iterator[bytes]:
        """The file, a piece at a time; raises OSError, and what is wrong with where it is."""
        ...


class InMemory:
    """Files that somebody has whole."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Raises `ExportMalformed` for a name that no file of an export has."""
        self._files = dict(files)
        self.sizes = {archive.require_name(name): len(data) for name, data in self._files.items()}

    def pieces(self, name: str) -> Iterator[bytes]:
        """As `Parts`."""
        data = self._files[name]
        return (data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES))


class InFolder:
    """Files that were unpacked into a folder of their own."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError, `ExportMalformed`, `ExportTooLarge`."""
        self._folder = folder
        self.sizes: dict[str, int] = {}
        for one in sorted(folder.iterdir()):
            if one.is_symlink() or not one.is_file() or len(self.sizes) >= archive.MAX_FILES:
                found = f"at most {archive.MAX_FILES} plain files"
                raise ExportMalformed("not the folder of an export", expected=found)
            self.sizes[archive.require_name(one.name)] = one.stat().st_size
        if sum(self.sizes.values()) > MAX_TOTAL_BYTES:
            raise ExportTooLarge("the folder is too large", expected=f"at most {MAX_TOTAL_BYTES} bytes")

    def pieces(self, name: str) -> Iterator[bytes]:
        """As `Parts`."""
        with plain_file.opened(self._folder / name) as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


class InArchive:
    """Files in an archive, which nobody unpacks."""

    def __init__(self, octets: Octets) -> None:
        """Raises what `archive.places` raises."""
        self._octets = octets
        self._places = archive.places(octets)
        self.sizes = {name: place.size for name, place in self._places.items()}

    def pieces(self, name: str) -> Iterator[bytes]:
        """As `Parts`."""
        place = self._places[name]
        for at in range(0, place.size, PIECE_BYTES):
            yield self._octets.read_at(place.offset + at, min(PIECE_BYTES, place.size - at))


class FileOctets:
    """The octets of an open file, or of bytes; they are as many as they were when it was opened."""

    def __init__(self, file: BinaryIO) -> None:
        """`file` can be sought in."""
        self._file = file
        self.size = file.seek(0, io.SEEK_END)

    def read_at(self, offset: int, size: int) -> bytes:
        """Fewer only at the end."""
        self._file.seek(offset)
        return self._file.read(size)
