"""Our canonical bytes beside ECMAScript's own: RFC 8785 section 3.2 is written in terms of `JSON.stringify`.

Needs node, whose JSON is not ours in any part; without it the test is skipped, and says so.
"""

import random
import shutil
import subprocess
from typing import Any, Final

import pytest

from ledger.records import canonical

VALUES: Final = 4_000
SCRIPT: Final = """
const written = v => v === null || typeof v !== 'object' ? JSON.stringify(v)
  : Array.isArray(v) ? '[' + v.map(written).join(',') + ']'
  : '{' + Object.keys(v).sort().map(k => JSON.stringify(k) + ':' + written(v[k])).join(',') + '}';
const lines = require('fs').readFileSync(0, 'utf8').split('\\n').filter(line => line);
process.stdout.write(lines.map(line => written(JSON.parse(line)) + '\\n').join(''));
"""
AWKWARD: Final[tuple[str, ...]] = (
    *map(chr, range(0x20)),
    *'"\\/\x7f\x80\x9f\xa0\xad',
    "\u2028\u2029\ufeff\uffff\ufffe\ue000\ud7ff",
    "\U00010000\U0010ffff\U0001f50b",
    "e\u0301 \u00e9 \ufb33 \u202e",
)
NAMES: Final = ("", "0", "10", "9", "A", "a", "_sd", "__proto__", "constructor", "toJSON", "\x7f", "~", '"', "\\", "\n")
NUMBERS: Final = (0, 1, -1, 10**15, 2**31, 2**32, 2**53 - 1, -(2**53 - 1))


def value(chance: random.Random, depth: int) -> Any:
    """Anything that the restricted grammar has."""
    kind = chance.randrange(8 if depth else 5)
    if kind == 0:
        return chance.choice((None, True, False))
    if kind == 1:
        return chance.choice((*NUMBERS, chance.randint(-(2**53 - 1), 2**53 - 1), chance.randint(-999, 999)))
    if kind < 5:
        return "".join(_piece(chance) for _ in range(chance.randrange(6)))
    if kind == 5:
        return [value(chance, depth - 1) for _ in range(chance.randrange(5))]
    return {_name(chance): value(chance, depth - 1) for _ in range(chance.randrange(6))}


def _piece(chance: random.Random) -> str:
    if chance.random() < 0.5:
        return chance.choice(AWKWARD)
    while True:
        point = chance.randrange(0x110000)
        if not 0xD800 <= point < 0xE000:
            return chr(point)


def _name(chance: random.Random) -> str:
    if chance.random() < 0.4:
        return chance.choice(NAMES)
    return "".join(chr(chance.randrange(0x80)) for _ in range(chance.randrange(4)))


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("no node")
    return found


def stringified(node: str, written: bytes) -> bytes:
    """What node makes of lines of JSON: members sorted by UTF-16 code units, everything else by JSON.stringify."""
    done = subprocess.run([node, "-e", SCRIPT], input=written, capture_output=True, check=True, timeout=60)
    return done.stdout


def test_node_writes_the_same_octets_of_every_value_of_our_grammar(node: str) -> None:
    chance = random.Random(20_260_120)
    values = [*map(chr, range(0x3000)), *AWKWARD, *NUMBERS, *(value(chance, 4) for _ in range(VALUES))]
    values = [one for one in values if not (isinstance(one, str) and any(0xD800 <= ord(c) < 0xE000 for c in one))]
    ours = [canonical.encode(one) for one in values]
    # Our texts hold no line feed: each is one line.
    assert not any(b"\n" in one for one in ours)
    theirs = stringified(node, b"\n".join(ours)).removesuffix(b"\n").split(b"\n")
    assert len(theirs) == len(ours) > VALUES
    assert [(one, two) for one, two in zip(ours, theirs, strict=True) if one != two] == []


def test_node_would_show_another_order_another_escape_and_another_number(node: str) -> None:
    other = [b'{"b":1,"a":2}', b'"\\u00e9"', b'"\\/"', b"1.0", b"1e2", b"-0", b'{"a": 1}', b'"\\u001F"']
    theirs = stringified(node, b"\n".join(other)).removesuffix(b"\n").split(b"\n")
    assert theirs == [
        b'{"a":2,"b":1}',
        "\u00e9".encode().join((b'"', b'"')),
        b'"/"',
        b"1",
        b"100",
        b"0",
        b'{"a":1}',
        b'"\\u001f"',
    ]
