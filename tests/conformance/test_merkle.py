"""Proof probes of transparency-dev/merkle: only a few are right, all others must be refused."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger.tlog import hashing, merkle
from ledger.tlog.errors import ProofInvalid
from tests.support import vectors


def octets(encoded: str | None) -> bytes:
    return base64.b64decode(encoded or "")


def probes(kind: str) -> list[tuple[Path, dict[str, Any]]]:
    """Every probe of this kind; what a file holds decides, not the folder it is in."""
    key = {"inclusion": "leafIdx", "consistency": "size1", "roots": "leaf_inputs"}[kind]
    read = [(path, json.loads(path.read_text())) for path in vectors.files("merkle", "*.json")]
    found = [(path, case) for path, case in read if key in case]
    if not found:
        pytest.skip(f"vectors 'merkle' hold no {kind} probes")
    return found


def test_every_file_is_a_probe_of_a_known_kind() -> None:
    kinds = ("leafIdx", "size1", "leaf_inputs")
    read = [(path, json.loads(path.read_text())) for path in vectors.files("merkle", "*.json")]
    assert [path.name for path, case in read if sum(kind in case for kind in kinds) != 1] == []


def disagreement(path: Path, case: dict[str, Any], refused: ProofInvalid | None) -> str | None:
    """What to say when our verdict is not the probe's."""
    if (refused is not None) == case["wantErr"]:
        return None
    return f"{path}: expected {'a refusal' if case['wantErr'] else 'acceptance'}, got {refused}"


def test_every_inclusion_probe_gets_the_verdict_its_authors_gave(ran: Callable[[str, int], None]) -> None:
    wrong = []
    found = probes("inclusion")
    ran("merkle", len(found))
    for path, case in found:
        refused = None
        try:
            merkle.verify_inclusion(
                [octets(item) for item in case["proof"] or []],
                index=case["leafIdx"],
                size=case["treeSize"],
                leaf_hash=octets(case["leafHash"]),
                root=octets(case["root"]),
            )
        except ProofInvalid as error:
            refused = error
        wrong.append(disagreement(path, case, refused))
    assert [text for text in wrong if text] == []


def test_every_consistency_probe_gets_the_verdict_its_authors_gave(ran: Callable[[str, int], None]) -> None:
    wrong = []
    found = probes("consistency")
    ran("merkle", len(found))
    for path, case in found:
        refused = None
        try:
            merkle.verify_consistency(
                [octets(item) for item in case["proof"] or []],
                old_size=case["size1"],
                new_size=case["size2"],
                old_root=octets(case["root1"]),
                new_root=octets(case["root2"]),
            )
        except ProofInvalid as error:
            refused = error
        wrong.append(disagreement(path, case, refused))
    assert [text for text in wrong if text] == []


def test_the_classic_ct_leaves_have_the_classic_hashes_and_roots(ran: Callable[[str, int], None]) -> None:
    found = probes("roots")
    ran("merkle", len(found))
    for _path, case in found:
        leaves = [hashing.leaf(bytes.fromhex(data)) for data in case["leaf_inputs"]]
        assert [item.hex() for item in leaves] == case["leaf_hashes"]
        assert [merkle.root(leaves[:size]).hex() for size in range(len(case["roots"]))] == case["roots"]
        frontier = merkle.Frontier()
        for size, leaf in enumerate(leaves, start=1):
            frontier.append(leaf)
            assert frontier.root().hex() == case["roots"][size]
