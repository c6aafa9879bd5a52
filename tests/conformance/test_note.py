"""The cases of golang.org/x/mod/sumdb/note and the example of c2sp.org/signed-note."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ledger.tlog import note
from ledger.tlog.errors import KeyAmbiguous, KeyMalformed, NoteMalformed, NoteUnverified
from tests.support import vectors

MANGLED = 1  # every cut of one key is a few thousand texts
KINDS = ("source", "open", "vkey_good", "vkey_bad", "vkey_mangling", "sign", "c2sp_spec_example")
REFUSALS = {
    "malformed note": NoteMalformed,
    "note has no verifiable signatures": NoteUnverified,
    "invalid signature for key": NoteUnverified,
    "ambiguous key": KeyAmbiguous,
}


@pytest.fixture
def cases() -> dict[str, list[Any]]:
    """The cases of every file, by kind."""
    found: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for path in vectors.files("note", "*.json"):
        for kind, cases in json.loads(path.read_text()).items():
            found[kind] += cases if isinstance(cases, list) else [cases]
    return found


def test_every_note_is_opened_or_refused_as_go_does(cases: Any, ran: Callable[[str, int], None]) -> None:
    ran("note", len(cases["open"]))
    for case in cases["open"]:
        signed = bytes.fromhex(case["note_latin1_hex"])
        verifiers = [note.parse_vkey(text) for text in case["vkeys"]]
        if case["ok"]:
            opened = note.open(signed, verifiers)
            assert [line.name for line in opened.verified] == case["verified"], case["name"]
            names = [item if isinstance(item, str) else item["name"] for item in case["unverified"]]
            assert [line.name for line in opened.unverified] == names, case["name"]
        else:
            refusal = next(kind for start, kind in REFUSALS.items() if case["error"].startswith(start))
            with pytest.raises(refusal):
                note.open(signed, verifiers)


def test_verifier_keys_read_back_as_they_were_written(cases: Any, ran: Callable[[str, int], None]) -> None:
    ran("note", len(cases["vkey_good"]))
    for text in cases["vkey_good"]:
        assert note.parse_vkey(text).vkey == text


def test_every_bad_verifier_key_is_refused(cases: Any, ran: Callable[[str, int], None]) -> None:
    ran("note", len(cases["vkey_bad"]))
    for text in cases["vkey_bad"]:
        with pytest.raises(KeyMalformed):
            note.parse_vkey(text)


def test_every_mangled_verifier_key_is_refused(cases: Any) -> None:
    for good in cases["vkey_good"][:MANGLED]:
        substrings = {good[start:end] for start in range(len(good)) for end in range(start, len(good) + 1)} - {good}
        incremented = {good[:at] + chr(ord(good[at]) + 1) + good[at + 1 :] for at in range(len(good))}
        for text in substrings | incremented:
            with pytest.raises(KeyMalformed):
                note.parse_vkey(text)


def test_the_golden_signature_is_ours_to_the_byte(cases: Any, ran: Callable[[str, int], None]) -> None:
    ran("note", len(cases["sign"]))
    for golden in cases["sign"]:
        signer = note.NoteSigner.load(golden["skey"])
        assert note.sign(golden["text"], [signer]) == golden["want"].encode()
        assert signer.dump() == golden["skey"]


def test_the_example_of_the_specification_opens(cases: Any, ran: Callable[[str, int], None]) -> None:
    ran("note", len(cases["c2sp_spec_example"]))
    for example in cases["c2sp_spec_example"]:
        opened = note.open(example["note"].encode(), [note.parse_vkey(example["vkey"])])
        assert opened.text == "This is an example message.\n"
