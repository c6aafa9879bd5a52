"""The policy text: what it says is what is asked for, and nothing that is unclear is read."""

import pytest

from ledger.clock import SetClock
from ledger.tlog import checkpoint, hashing, note, policy
from ledger.tlog.checkpoint import Checkpoint, OpenedCheckpoint
from ledger.tlog.errors import PolicyMalformed, QuorumMissing
from ledger.tlog.note import Cosigner, NoteSigner

ORIGIN = "example.com/log"
LOG = NoteSigner.generate(ORIGIN)
NAMES = ("X1", "X2", "X3", "Y1", "Y2")
COSIGNERS = {name: Cosigner.generate(f"witness.example/{name.lower()}", SetClock(7_000)) for name in NAMES}
LEVELS = (
    f"log {LOG.vkey} https://log.example/\n\n"
    + "".join(f"witness {name} {one.vkey}\n" for name, one in COSIGNERS.items())
    + "# two of three, and any\n group\tX-witnesses 2 X1 X2 X3 \ngroup Y-witnesses any Y1 Y2\n"
    + "group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
)


def opened(*names: str, read: policy.Policy) -> OpenedCheckpoint:
    """A checkpoint that these witnesses cosigned, opened as the policy's reader does."""
    signed = checkpoint.sign(Checkpoint(ORIGIN, 1, hashing.leaf(b"one")), [LOG, *(COSIGNERS[name] for name in names)])
    return checkpoint.open_checkpoint(signed, ORIGIN, [*read.keys_of(ORIGIN), *read.verifiers])


@pytest.mark.parametrize(
    ("names", "is_enough"),
    [
        ((), False),
        (("X1",), False),
        (("X1", "X2"), False),
        (("X1", "Y1"), False),
        (("X1", "X2", "Y2"), True),
        (("X1", "X2", "X3", "Y1", "Y2"), True),
    ],
)
def test_a_quorum_of_two_levels_is_met_by_enough_of_each(names: tuple[str, ...], is_enough: bool) -> None:
    read = policy.parse(LEVELS.encode())
    if is_enough:
        assert read.require_quorum(opened(*names, read=read)) == tuple(name.encode() for name in names)
    else:
        with pytest.raises(QuorumMissing) as refused:
            read.require_quorum(opened(*names, read=read))
        assert refused.value.code == "ledger/quorum-missing"
        assert refused.value.found == (", ".join(names) or "none")


def test_without_quorum_no_cosignature_is_needed() -> None:
    read = policy.parse(b"quorum none\n")
    assert read.quorum is None
    signed = checkpoint.sign(Checkpoint(ORIGIN, 0, hashing.EMPTY_ROOT), [LOG])
    assert read.require_quorum(checkpoint.open_checkpoint(signed, ORIGIN, [LOG.verifier])) == ()


def test_a_cosignature_that_was_not_verified_does_not_count() -> None:
    read = policy.parse(LEVELS.encode())
    signed = checkpoint.sign(Checkpoint(ORIGIN, 1, hashing.leaf(b"one")), [LOG, *COSIGNERS.values()])
    with pytest.raises(QuorumMissing):
        read.require_quorum(checkpoint.open_checkpoint(signed, ORIGIN, [LOG.verifier]))


def test_a_log_may_have_two_keys_and_a_witness_a_url() -> None:
    other = NoteSigner.generate(ORIGIN)
    text = f"log {LOG.vkey}\nlog {other.vkey}\nwitness w {COSIGNERS['X1'].vkey} https://w.example/sub\nquorum w\n"
    read = policy.parse(text.encode())
    assert read.keys_of(ORIGIN) == (LOG.verifier, other.verifier)
    assert read.keys_of("example.com/another") == ()
    assert read.witnesses[b"w"].url == "https://w.example/sub"


def test_names_are_octets_that_need_not_be_text() -> None:
    text = b"witness \xff\x80 " + COSIGNERS["X1"].vkey.encode() + b"\nquorum \xff\x80\n"
    read = policy.parse(text)
    assert read.quorum == b"\xff\x80"
    assert policy.shown(b"\xff\x80") == "\\xff\\x80"


X1, X2 = COSIGNERS["X1"].vkey, COSIGNERS["X2"].vkey
WITNESSES = f"witness a {X1}\nwitness b {X2}\n"


NO_POLICIES = (
    "",
    f"witness a {X1}\n",
    "quorum none",
    "quorum none\nquorum none\n",
    "quorum a\n" + WITNESSES,
    WITNESSES + "quorum c\n",
    WITNESSES + "group g 3 a b\nquorum g\n",
    WITNESSES + "group g 0 a b\nquorum g\n",
    WITNESSES + "group g 01 a b\nquorum g\n",
    WITNESSES + "group g some a b\nquorum g\n",
    WITNESSES + "group g any\nquorum g\n",
    WITNESSES + "group g any a a\nquorum g\n",
    WITNESSES + "group g any a\ngroup h any a b\nquorum h\n",
    WITNESSES + "group g any none a\nquorum g\n",
    WITNESSES + "group none any a\nquorum none\n",
    WITNESSES + "group a any b\nquorum a\n",
    WITNESSES + f"witness c {X1}\nquorum a\n",
    f"witness a {X1}\nwitness a {X2}\nquorum a\n",
    f"witness none {X1}\nquorum none\n",
    f"witness a {LOG.vkey}\nquorum a\n",
    f"log {X1}\nquorum none\n",
    f"log {LOG.vkey}\nlog {LOG.vkey}\nquorum none\n",
    "log rubbish\nquorum none\n",
    "log\nquorum none\n",
    "quorum none extra\n",
    "trust me\nquorum none\n",
    "quorum none\r\n",
    "quorum\x00none\n",
    "quorum none\n\x7f\n",
)


# Keys are new in each process, so the texts cannot be the names.
@pytest.mark.parametrize("text", NO_POLICIES, ids=[f"case {n}" for n in range(len(NO_POLICIES))])
def test_what_is_not_a_policy_is_refused(text: str) -> None:
    with pytest.raises(PolicyMalformed) as refused:
        policy.parse(text.encode())
    assert refused.value.code == "ledger/tlog-policy-malformed"


def test_two_names_for_one_key_are_refused_even_under_another_key_name() -> None:
    twin = note.Verifier("another.example/name", note.KeyKind.COSIGNATURE_V1, COSIGNERS["X1"].verifier.public)
    with pytest.raises(PolicyMalformed):
        policy.parse(f"witness a {X1}\nwitness b {twin.vkey}\nquorum a\n".encode())


@pytest.mark.parametrize(
    ("kind", "limit"), [("log", policy.MAX_LOGS), ("witness", policy.MAX_WITNESSES), ("group", policy.MAX_GROUPS)]
)
def test_limits_hold_on_both_sides(kind: str, limit: int) -> None:
    def text(count: int) -> bytes:
        if kind == "log":
            return (
                "".join(f"log {NoteSigner.generate(ORIGIN).vkey}\n" for _ in range(count)).encode() + b"quorum none\n"
            )
        if kind == "witness":
            made = (f"witness w{at} {Cosigner.generate('w', SetClock(0)).vkey}\n" for at in range(count))
            return "".join(made).encode() + b"quorum none\n"
        groups = "".join(f"group g{at} any {'a' if at == 0 else f'g{at - 1}'}\n" for at in range(count))
        return (f"witness a {X1}\n" + groups + f"quorum g{count - 1}\n").encode()

    assert policy.parse(text(limit))
    with pytest.raises(PolicyMalformed):
        policy.parse(text(limit + 1))


def test_a_policy_of_the_largest_size_is_read_and_one_octet_more_is_not() -> None:
    end = b"\nquorum none\n"
    assert policy.parse(b"#" * (policy.MAX_POLICY_OCTETS - len(end)) + end).quorum is None
    with pytest.raises(PolicyMalformed):
        policy.parse(b"#" * (policy.MAX_POLICY_OCTETS - len(end) + 1) + end)
