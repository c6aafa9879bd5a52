"""A TOML file that somebody handed over is read, or refused with a code, in bounded time: whatever is in it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api import settings
from api.cli import claim_files, witness_settings
from api.cli.backup import MANIFEST, BackupDamaged
from api.cli.backup import _manifest as manifest_of
from api.client import party
from api.errors import ApiError
from api.execution.simulator import scenario
from api.verification.bundle_policy import parse_policy
from api.verification.errors import BundleUnusable
from ledger import toml_text
from ledger.errors import LedgerError
from ledger.privacy.exports import policies
from pki import ceremony, gridcode
from pki.errors import PkiError

READERS: dict[str, Callable[[Path], Any]] = {
    "settings": lambda path: settings.load(path, {}),
    "witness": witness_settings.load,
    "party": party.load,
    "policy": lambda path: parse_policy(path.read_bytes(), toml=True),
    "claim": lambda path: claim_files.parse(path, claim_files.ClaimSpec),
    "export policy": policies.read,
    "scenario": lambda path: scenario.parse(path.read_bytes()),
    "ceremony": lambda path: ceremony.parse_spec(path.read_bytes()),
    "grid code": lambda path: gridcode.parse(path.read_bytes(), path.name),
}
HOSTILE = {
    "arrays in arrays": b"a = " + b"[" * 20_000,
    "tables in tables": b"a = " + b"{b=" * 10_000,
    "digits without end": b"a = " + b"9" * 5_000,
    "no UTF-8": b'a = "\xff"',
    "a lone surrogate": b'a = "\\ud800"',
    "NUL": b"a\x00 = 1",
}
LONG_KEYS = {
    "bare": b"a." * 8_000 + b"a = 1",
    "with blanks": b"a . " * 8_000 + b"a = 1",
    "quoted": b'"".' * 8_000 + b"a = 1",
    "with escapes": b'"\\"".' * 8_000 + b"a = 1",
    "literal": b"'.'." * 8_000 + b"a = 1",
    "in a header": b"[" + b"a." * 8_000 + b"a]",
    "inside": b"a = {" + b"a." * 8_000 + b"a = 1}",
}
SLOWEST_S = 0.1
"""Of the processor's time. The parser alone takes ten times as long for the keys, and four times that for twice as many."""


@pytest.mark.parametrize("content", HOSTILE)
@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_breaks_the_parser_is_refused_with_a_code(tmp_path: Path, reader: str, content: str) -> None:
    file = tmp_path / "file.toml"
    file.write_bytes(HOSTILE[content])
    with pytest.raises((ApiError, LedgerError, PkiError)) as refused:
        READERS[reader](file)
    assert refused.value.message().isprintable()


def test_what_is_wrong_is_said_with_its_place() -> None:
    with pytest.raises(msgspec.DecodeError, match="at line 2"):
        toml_text.decode(b"a = 1\nb\n", dict)
    with pytest.raises(msgspec.ValidationError, match=r"Expected `int`, got `str` - at `\$\[...\]`"):
        toml_text.decode(b"a = 'b'", dict[str, int])
    for data, said in ((HOSTILE["digits without end"], "digits"), (HOSTILE["arrays in arrays"], "nested")):
        with pytest.raises(msgspec.DecodeError, match=said):
            toml_text.decode(data, dict)


@pytest.mark.parametrize("content", LONG_KEYS)
def test_a_key_of_many_parts_costs_nothing(content: str) -> None:
    began = time.process_time()
    with pytest.raises(msgspec.DecodeError, match="a key of more than 32 parts"):
        toml_text.decode(LONG_KEYS[content], dict)
    assert time.process_time() - began < SLOWEST_S


@pytest.mark.parametrize("piece", [b'\\"', b'."', b". ", b"'", b"a", b'""', b"\\", b'"a" ', b'.[{"', b".'"])
def test_looking_for_such_a_key_is_linear(piece: bytes) -> None:
    document = piece * (262_144 // len(piece))
    began = time.process_time()
    with pytest.raises(msgspec.DecodeError):
        toml_text.decode(document, dict)
    assert time.process_time() - began < 10 * SLOWEST_S


def test_a_key_and_an_identifier_of_as_many_parts_as_may_be_are_read() -> None:
    key, oid = ".".join("a" * toml_text.MAX_KEY_PARTS), ".".join("1" * toml_text.MAX_KEY_PARTS)
    found = toml_text.decode(f"{key} = 1\noid = '{oid}'\n[b.c]\nd = [1.5, 2.5]\n".encode(), dict)
    assert (found["oid"], found["b"]) == (oid, {"c": {"d": [1.5, 2.5]}})


@pytest.mark.parametrize("data", [b'{"format":"\xff"}', b'{"a":' + b"[" * 100_000, b"\x00", b""])
def test_a_manifest_that_breaks_the_parser_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(data)
    with pytest.raises(BackupDamaged):
        manifest_of(tmp_path)


def test_a_policy_in_json_that_breaks_the_parser_is_refused() -> None:
    for data in (b'{"vkey":"\xff"}', b'{"vkey":' + b"[" * 100_000, b"[" * 100_000, b'{"a":' * 40_000):
        with pytest.raises(BundleUnusable):
            parse_policy(data)
