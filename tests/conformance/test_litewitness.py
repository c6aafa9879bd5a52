"""The add-checkpoint requests of torchwood's litewitness, in order, against one witness."""

import json
from collections.abc import Callable
from typing import Any

from ledger.clock import SetClock
from ledger.tlog import note
from ledger.tlog.notekeys import KeyKind, Verifier
from ledger.witness.cosign import NOT_FOUND, OK, Head, Witness
from tests.support import vectors

FORBIDDEN_IN_2025 = 403


class Memory:
    def __init__(self) -> None:
        self.heads: dict[str, Head] = {}

    def latest(self, origin: str) -> Head | None:
        return self.heads.get(origin)

    def compare_and_set(self, origin: str, expected: Head | None, new: Head) -> bool:
        if self.heads.get(origin) != expected:
            return False
        self.heads[origin] = new
        return True


def test_every_request_gets_the_status_and_body_that_litewitness_gives(ran: Callable[[str, int], None]) -> None:
    for path in vectors.files("litewitness", "*.json"):
        cases = json.loads(path.read_text())
        ran("litewitness", len(cases["requests"]))
        replay(cases, path.name)


def replay(cases: dict[str, Any], file: str) -> None:
    """The requests of one file, in order, against one witness."""
    origin = cases["origin"]
    log = Verifier(origin, KeyKind.ED25519, bytes.fromhex(cases["log_public_key_hex"]))
    cosigner = note.Cosigner.generate("example.com/witness", SetClock(1_795_532_000_123))
    witness = Witness([cosigner], {origin: [log]}, Memory())
    for number, request in enumerate(cases["requests"]):
        status, body = witness.add_checkpoint(request["body"].encode())
        expected = request["status"]
        if expected == FORBIDDEN_IN_2025 and "unknown log" in request["assertion"]:
            expected = NOT_FOUND  # since C2SP of 2026
        assert status == expected, f"{file}, request {number}: {body!r}"
        relation, _, wanted = request["assertion"].removeprefix("body ").partition(" ")
        wanted = json.loads(wanted)
        assert wanted in body.decode() if relation == "contains" else body.decode() == wanted
        if status == OK:
            checkpoint_note = request["body"].encode().partition(b"\n\n")[2]
            cosigned = note.add_signatures(checkpoint_note, [body.decode()])
            opened = note.open(cosigned, [log, cosigner.verifier])
            assert [line.cosigned_at_ms for line in opened.verified] == [None, 1_795_532_000_000]
