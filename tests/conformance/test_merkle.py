"""Proof probes of transparency-dev/merkle: only a few are right, all others must be refused."""

import base64
import json
from pathlib import Path
from typing import Any

from ledger.tlog import hashing, merkle
from ledger.tlog.errors import ProofInvalid
from tests.support import vectors


def octets(encoded: str | None) -> bytes:
    return base64.b64decode(encoded or "")


def probes(kind: str) -> list[tuple[Path, dict[str, Any]]]:
    found = sorted((vectors.folder("merkle") / kind).rglob("*.json"))
    assert found, f"no {kind} probes in the folder"
    return [(path, json.loads(path.read_text())) for path in found]


def disagreement(path: Path, case: dict[str, Any], refused: ProofInvalid | None) -> str | None:
    """What to say when our verdict is not the probe's."""
    if (refused is not None) == case["wantErr"]:
        return None
    return f"{path}: expected {'a refusal' if case['wantErr'] else 'acceptance'}, got {refused}"


def test_every_inclusion_probe_gets_the_verdict_its_authors_gave() -> None:
    wrong = []
    for path, case in probes("inclusion"):
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


def test_every_consistency_probe_gets_the_verdict_its_authors_gave() -> None:
    wrong = []
    for path, case in probes("consistency"):
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


def test_the_classic_ct_leaves_have_the_classic_hashes_and_roots() -> None:
    case = json.loads((vectors.folder("merkle") / "rfc6962_roots.json").read_text())
    leaves = [hashing.leaf(bytes.fromhex(data)) for data in case["leaf_inputs"]]
    assert [item.hex() for item in leaves] == case["leaf_hashes"]
    assert [merkle.root(leaves[:size]).hex() for size in range(len(case["roots"]))] == case["roots"]
    frontier = merkle.Frontier()
    for size, leaf in enumerate(leaves, start=1):
        frontier.append(leaf)
        assert frontier.root().hex() == case["roots"][size]
