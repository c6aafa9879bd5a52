"""Two real logs as files: Tessera's test log of every size up to 15, and a mirror written by Sunlight's skylight."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.tlog import checkpoint, hashing, merkle, note, tiles
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.errors import TileMalformed, TileMismatch
from tests.support import vectors


def tessera() -> tuple[Path, list[Checkpoint]]:
    """The folder and every checkpoint in it, opened, smallest first."""
    folder = vectors.folder("tessera-log")
    verifier = note.parse_vkey((folder / "vkey").read_text().strip())
    paths = sorted(folder.glob("checkpoint*"))
    assert paths
    opened = [checkpoint.open_checkpoint(path.read_bytes(), verifier.name, [verifier]) for path in paths]
    return folder, sorted((item.checkpoint for item in opened), key=lambda head: head.size)


def reader(folder: Path, head: Checkpoint) -> tiles.TileReader:
    return tiles.TileReader(lambda path: (folder / path).read_bytes(), head.size, root=head.root)


def test_every_tessera_checkpoint_opens_and_writes_back_the_same_text() -> None:
    folder, heads = tessera()
    assert {head.size for head in heads} >= {0, 1, 15}
    for path in folder.glob("checkpoint*"):
        parsed = note.parse(path.read_bytes())
        assert checkpoint.parse(parsed.text).text() == parsed.text


def test_every_tessera_tile_adds_up_to_its_checkpoint(ran: Callable[[str, int], None]) -> None:
    folder, heads = tessera()
    ran("tessera-log", len(heads))
    for head in heads:
        assert reader(folder, head).root() == head.root


def test_every_tessera_bundle_hashes_to_its_tile() -> None:
    folder, heads = tessera()
    longest = reader(folder, heads[-1]).bundle(0)
    for head in (head for head in heads if head.size):
        entries = reader(folder, head).bundle(0)
        assert entries == longest[: head.size]
        assert merkle.root([hashing.leaf(entry) for entry in entries]) == head.root


def test_every_pair_of_tessera_checkpoints_is_consistent() -> None:
    folder, heads = tessera()
    read = reader(folder, heads[-1]).read
    for old, new in itertools.combinations((head for head in heads if head.size), 2):
        merkle.verify_consistency(
            merkle.consistency_proof(old.size, new.size, read),
            old_size=old.size,
            new_size=new.size,
            old_root=old.root,
            new_root=new.root,
        )


def test_every_tessera_entry_is_proven_under_every_checkpoint() -> None:
    folder, heads = tessera()
    for head in heads:
        read = reader(folder, head).read
        for index in range(head.size):
            proof = merkle.inclusion_proof(index, head.size, read)
            leaf = read(0, index)
            merkle.verify_inclusion(proof, index=index, size=head.size, leaf_hash=leaf, root=head.root)


def test_writing_the_tessera_entries_gives_tesseras_files() -> None:
    folder, heads = tessera()
    entries = reader(folder, heads[-1]).bundle(0)
    for head in heads:
        written: dict[str, bytes] = {}
        tiles.write_tree(entries[: head.size], written.__setitem__)
        assert {path: (folder / path).read_bytes() for path in written} == written
        assert len(written) == (2 if head.size else 0)


def skylight() -> tuple[Path, Checkpoint]:
    folder = vectors.folder("skylight-mirror")
    return folder, checkpoint.parse(note.parse((folder / "checkpoint").read_bytes()).text)


def test_the_tiles_of_the_mirror_add_up_to_its_checkpoint(ran: Callable[[str, int], None]) -> None:
    folder, head = skylight()
    ran("skylight-mirror", head.size)
    mirror = reader(folder, head)
    assert mirror.root() == head.root
    for index in range(head.size):
        proof = merkle.inclusion_proof(index, head.size, mirror.read)
        leaf = mirror.read(0, index)
        merkle.verify_inclusion(proof, index=index, size=head.size, leaf_hash=leaf, root=head.root)


def test_the_mirrors_compressed_placeholders_are_refused_as_bundles() -> None:
    # That mirror's bundles are gzip of the words "fake mirrored entry bundle".
    folder, head = skylight()
    mirror = reader(folder, head)
    for bundle in range(2):
        with pytest.raises(TileMalformed):
            mirror.bundle(bundle)


def test_a_flipped_bit_in_any_tile_of_the_mirror_is_refused_and_named() -> None:
    folder, head = skylight()
    for path in (tile.path for tile in tiles.tiles_for(head.size)):

        def fetch(asked: str, flipped: str = path) -> bytes:
            data = (folder / asked).read_bytes()
            return bytes([data[0] ^ 1]) + data[1:] if asked == flipped else data

        broken = tiles.TileReader(fetch, head.size, root=head.root)
        with pytest.raises(TileMismatch):
            [broken.read(0, index) for index in range(head.size)]
