"""A log judged from its stored bytes alone, without a line of the code that wrote it."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import msgspec

from ledger.audit.run import audit
from ledger.audit.static_source import StaticSource
from ledger.reader import Reader
from tests.support import logs

EMPTY = hashlib.sha256().digest()


def leaf(data: bytes) -> bytes:
    """RFC 6962, section 2.1."""
    return hashlib.sha256(b"\x00" + data).digest()


def root(leaves: list[bytes]) -> bytes:
    """The same, by its definition."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root(leaves[:half]) + root(leaves[half:])).digest()


def require_sound(store: Any, origin: str = logs.ORIGIN) -> list[dict[str, Any]]:
    """The entries, decoded, of a log without a gap, a fork or a row that its entries do not confirm."""
    rows = list(store.entries(0, 1 << 40))
    head = store.head()
    assert [row.index for row in rows] == list(range(head.size))
    leaves = [leaf(row.data) for row in rows]
    assert leaves == [row.leaf for row in rows]
    assert head.frontier.root() == root(leaves)
    found = [msgspec.json.decode(row.data) for row in rows]
    heads: dict[str, tuple[int, bytes, int]] = {}
    last_ms = 0
    for row, entry in zip(rows, found, strict=True):
        seq, before, at = heads.get(entry["stream"], (0, bytes(32), None))
        assert (entry["log"], entry["seq"], entry["prev"]) == (origin, seq + 1, before.hex())
        assert row.previous_index == at
        assert entry["rec"] >= last_ms
        last_ms = entry["rec"]
        heads[entry["stream"]] = (entry["seq"], row.leaf, row.index)
    assert {name: (at.seq, at.leaf, at.index) for name, at in store.stream_heads()} == heads
    said = [(*_said(entry["stmt"]), index) for index, entry in enumerate(found)]
    assert sorted(store.statements()) == sorted(said)
    assert len({(party, jti) for party, jti, _ in said}) == len(said)
    return found


def _said(stmt: str) -> tuple[str, str]:
    payload = stmt.split(".")[1]
    claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims["iss"], claims["jti"]


def require_audited(store: Any, directory: Path, vkey: str) -> None:
    """The static copy of the log, as of its last checkpoint, passes the auditor's own audit."""
    target = directory / "static"
    Reader(store).export_static(target, vkey=vkey)
    source = StaticSource(target)
    report = audit(source, vkeys=[vkey], origin=logs.ORIGIN, resolve=logs.resolve)
    report.raise_for_findings()
