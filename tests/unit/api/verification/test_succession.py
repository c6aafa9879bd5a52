"""What a verifier says of the log that another continues, and of a bundle from the time when a log had two keys."""

import msgspec
import pytest

from api.verification import succession
from api.verification.bundle import open_bundle, verify
from api.verification.bundle_policy import Policy, policy_of
from api.verification.report import Line, Lines, Status
from api.verification.succession import PredecessorDiffers
from ledger.clock import SetClock
from ledger.records.log import PolicyAdopted, Predecessor
from ledger.tlog import checkpoint, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.note import Cosigner, NoteSigner
from tests.support.bundles import Story, codes

OLD = NoteSigner.generate("old.example/log")
WITNESS = Cosigner.generate("witness.example/w", SetClock(1_795_532_000_123))
LAST = Checkpoint("old.example/log", 7, b"r" * 32)


def adopted(*, cosigned: bool = True) -> PolicyAdopted:
    signers = [OLD, WITNESS] if cosigned else [OLD]
    named = Predecessor(checkpoint=checkpoint.sign(LAST, signers).decode(), vkeys=tuple(one.vkey for one in signers))
    return PolicyAdopted(anchors=("0" * 64,), rules="rules/1", predecessor=named)


def told(record: PolicyAdopted, witnesses: str | None) -> list[Line]:
    policy = (
        None if witnesses is None else Policy(vkey=NoteSigner.generate("n").vkey, roots=("-",), witnesses=witnesses)
    )
    lines = Lines()
    succession.tell(record, policy, lines, index=0)
    return list(lines.report("").lines)


KNOWN = f"log {OLD.vkey}\n"
QUORUM = f"{KNOWN}witness w {WITNESS.vkey}\nquorum w\n"


@pytest.mark.parametrize(
    ("witnesses", "cosigned", "status", "code"),
    [
        (None, True, Status.VERIFIED, "verify/ok"),
        (f"{KNOWN}quorum none\n", True, Status.VERIFIED, "verify/ok"),
        (QUORUM, True, Status.VERIFIED, "verify/ok"),
        (QUORUM, False, Status.REFUTED, "ledger/quorum-missing"),
        ("quorum none\n", True, Status.UNDECIDED, "verify/predecessor-unvouched"),
        (
            f"log {NoteSigner.generate('old.example/log').vkey}\nquorum none\n",
            True,
            Status.REFUTED,
            "ledger/note-unverified",
        ),
    ],
    ids=["no-policy", "key", "quorum", "quorum-missing", "unknown", "another-key"],
)
def test_the_end_of_the_older_log_counts_under_the_policys_keys(
    witnesses: str | None, cosigned: bool, status: Status, code: str
) -> None:
    (line,) = told(adopted(cosigned=cosigned), witnesses)
    assert (line.check, line.status, line.code) == ("predecessor", status, code)


def test_a_log_that_continues_none_says_nothing_of_it() -> None:
    assert told(msgspec.structs.replace(adopted(), predecessor=msgspec.UNSET), QUORUM) == []


def test_a_predecessor_that_does_not_open_is_refuted() -> None:
    named = adopted().predecessor
    assert isinstance(named, Predecessor)
    broken = msgspec.structs.replace(named, checkpoint=named.checkpoint.replace("\n7\n", "\n8\n"))
    (line,) = told(msgspec.structs.replace(adopted(), predecessor=broken), QUORUM)
    assert (line.status, line.code) == (Status.REFUTED, "rules/predecessor-unfit")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"origin": "other.example/log"}, "another log"),
        ({"size": 6}, "shorter"),
        ({"size": 8}, "entries follow"),
        ({"root": "00" * 32}, "another root"),
    ],
)
def test_only_the_very_log_that_is_named_is_the_predecessor(changes: dict[str, object], words: str) -> None:
    found: dict[str, object] = {"origin": LAST.origin, "size": LAST.size, "root": LAST.root.hex()}
    assert "ends with 7 entries" in succession.require_same(LAST, **found)  # type: ignore[arg-type]
    with pytest.raises(PredecessorDiffers, match=words):
        succession.require_same(LAST, **{**found, **changes})  # type: ignore[arg-type]


def test_a_bundle_of_the_overlap_is_verified_by_who_knows_either_key(story: Story) -> None:
    bundle = open_bundle(story.settled)
    policy = policy_of(bundle)
    origin, signed = bundle.origin, bundle.checkpoint
    fresh, stranger = NoteSigner.generate(origin), NoteSigner.generate(origin)
    both = msgspec.structs.replace(
        bundle,
        checkpoint=signed + fresh.sign(note.parse_text(signed.encode())),
        anchors=msgspec.structs.replace(bundle.anchors, vkeys=(fresh.vkey,)),
    )
    for vkey, code in ((policy.vkey, 0), (fresh.vkey, 0), (stranger.vkey, 1)):
        report = verify(both, anchors=msgspec.structs.replace(policy, vkey=vkey))
        assert report.exit_code == code, codes(report)
    # The new key's line alone makes no old bundle good: its owner has to have signed this one.
    assert verify(bundle, anchors=msgspec.structs.replace(policy, vkey=fresh.vkey)).exit_code == 1
