"""What a client does when a log contradicts itself: it fetches what makes the two notes evidence before anyone.

A log that signed a larger tree serves its tiles; under the signed root they are authentic, so they show which
prefix the larger tree really has.
"""

from collections.abc import Generator
from typing import Final

from api.client.http import Answer, Request
from ledger.errors import Absent
from ledger.tlog import merkle, tiles
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.merkle import Reader

TILE_PATH: Final = "/{path}"
MAX_TILES: Final = 128
"""Tiles on two paths through the largest tree, twice over."""


class _Wanted(Exception):
    """A tile that is not there yet. Not an Absent: a reader of tiles takes that for a tile that the log dropped."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def prefix_of(head: Checkpoint, size: int) -> Generator[Request, Answer, tuple[bytes, list[bytes]]]:
    """The root of the first `size` leaves of the tree `head`, and the proof of it, from tiles that fit the signed root.

    Raises Absent after MAX_TILES, and what the transport and the tiles raise.
    """
    have: dict[str, bytes] = {}

    def fetch(path: str) -> bytes:
        if path not in have:
            raise _Wanted(path)
        return have[path]

    for _ in range(MAX_TILES):
        read: Reader = tiles.TileReader(fetch, head.size, root=head.root).read
        try:
            return merkle.root_at(size, read), merkle.consistency_proof(size, head.size, read)
        except _Wanted as wanted:
            have[wanted.path] = (yield Request("GET", TILE_PATH.format(path=wanted.path))).body
    raise Absent("the tiles of the tree do not come to an end", expected=f"at most {MAX_TILES}")
