"""Where an export grows before it leaves: files without names, enciphered under keys that are in memory alone.

A process that dies leaves nothing of them: no name, and no key to what the disk may still have. Each is written once,
from beginning to end, and then read.
"""

import hashlib
import secrets
import tempfile
from collections.abc import Iterator
from typing import IO, Final

from ledger.privacy.exports import stream
from ledger.privacy.exports.manifest import FileLine

HELD_BYTES: Final = 4 * stream.CHUNK_BYTES
"""What waits in memory before it is enciphered."""


class Spool:
    """One file of an export: write, `finish`, then read as often as need be, one reader at a time."""

    def __init__(self, name: str) -> None:
        """An empty file in the folder for temporary ones; `name` is what it is called in the archive."""
        self.name = name
        self.size = 0
        self._digest = hashlib.sha256()
        self._held = bytearray()
        self._key = secrets.token_bytes(stream.KEY_BYTES)
        self._encryptor = stream.Encryptor(self._key)
        self._line: FileLine | None = None
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by who made the spool

    def __repr__(self) -> str:
        """Says nothing of what is in it."""
        return f"Spool({self.name!r})"

    def write(self, data: bytes) -> None:
        """`data` is behind what was written before."""
        self._held += data
        self.size += len(data)
        if len(self._held) >= HELD_BYTES:
            self._pass_on()

    def finish(self) -> FileLine:
        """Nothing is written from here on; what the manifest says of the file. May be said twice."""
        if self._line is None:
            self._pass_on()
            self._file.write(self._encryptor.finish())
            # A disk that is full says so here, before anything is on record.
            self._file.flush()
            self._line = FileLine(name=self.name, sha256=self._digest.hexdigest(), size=self.size)
        return self._line

    def pieces(self) -> Iterator[bytes]:
        """The whole file, a piece at a time."""
        self._file.seek(0)
        return stream.decrypted(self._key, self._file.read)

    def lines(self) -> Iterator[bytes]:
        """Its lines, without their ends; a file of lines ends with the end of one."""
        rest = b""
        for piece in self.pieces():
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole

    def close(self) -> None:
        """The file is gone."""
        self._file.close()

    def _pass_on(self) -> None:
        self._digest.update(self._held)
        self._file.write(self._encryptor.update(bytes(self._held)))
        self._held.clear()


class Spools:
    """All files of one export."""

    def __init__(self) -> None:
        """None yet."""
        self._made: dict[str, Spool] = {}
        self._aside: list[Spool] = []

    def new(self, name: str) -> Spool:
        """A new file; each name once."""
        made = self._made[name] = Spool(name)
        return made

    def aside(self) -> Spool:
        """A file that is no part of the export, and is gone with it."""
        made = Spool("aside")
        self._aside.append(made)
        return made

    def whole(self, name: str, data: bytes) -> None:
        """A file whose content is known already."""
        self.new(name).write(data)

    def finish(self) -> tuple[FileLine, ...]:
        """What the manifest says of all of them, in the order of their names."""
        return tuple(self._made[name].finish() for name in sorted(self._made))

    def members(self) -> Iterator[tuple[str, int, Iterator[bytes]]]:
        """Name, size and content of each, in the order of their names."""
        for name in sorted(self._made):
            made = self._made[name]
            yield name, made.size, made.pieces()

    def sizes(self) -> Iterator[int]:
        """The size of each."""
        return (one.size for one in self._made.values())

    def close(self) -> None:
        """All are gone; may be said twice."""
        for one in (*self._made.values(), *self._aside):
            one.close()
