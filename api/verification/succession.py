"""A log that continues another one: what its first entry says of its predecessor, and who vouches for that."""

from typing import Final

from api.errors import Refused
from api.verification.bundle_policy import Policy
from api.verification.report import Lines, Status, counted
from ledger.errors import LedgerError
from ledger.records.log import PolicyAdopted, Predecessor
from ledger.rules.keeping import last_checkpoint
from ledger.tlog import checkpoint
from ledger.tlog.checkpoint import Checkpoint

CHECK: Final = "predecessor"
UNVOUCHED: Final = "verify/predecessor-unvouched"
UNFROZEN: Final = "verify/predecessor-unfrozen"


class PredecessorDiffers(Refused):
    """The log that was handed in as the predecessor is not the one that the first entry names."""

    code = "verify/predecessor-differs"
    title = "Not the log that is continued"


class PredecessorUnnamed(Refused):
    """The log's first entry names no predecessor."""

    code = "verify/predecessor-unnamed"
    title = "The log continues no other"


def tell(adopted: PolicyAdopted, policy: Policy | None, lines: Lines, **where: str | int) -> None:
    """What is known of the log that this one continues, as a line; none where it continues none."""
    named = adopted.predecessor
    if not isinstance(named, Predecessor):
        return
    try:
        are_known = policy is None or _are_keys_known(named, policy)
    except LedgerError as error:
        lines.failed(CHECK, error, **where)
        return
    if not are_known:
        detail = "the policy has no key of the log that this one continues; add a line `log` for it"
        lines.add(CHECK, Status.UNDECIDED, UNVOUCHED, detail, **where)
        return
    lines.attempt(CHECK, lambda: _words(continued(named, policy), policy), **where)


def continued(named: Predecessor, policy: Policy | None) -> Checkpoint:
    """The checkpoint with which the predecessor ended: under keys that are named, and under those of the policy.

    Raises `PredecessorUnfit`; with a policy that has keys of that log also NoteUnverified and QuorumMissing.
    """
    last = last_checkpoint(named)
    asked = None if policy is None else policy.witnessing()
    if asked is not None and asked.keys_of(last.origin):
        keys = [*asked.keys_of(last.origin), *asked.verifiers]
        asked.require_quorum(checkpoint.open_checkpoint(named.checkpoint.encode(), last.origin, keys))
    return last


def require_same(named: Checkpoint, *, origin: str, size: int, root: str) -> str:
    """In words that the log of `origin` is the one named, whole and not longer; raises `PredecessorDiffers`."""
    for what, wanted, found in (
        ("another log", named.origin, origin),
        ("it is shorter" if size < named.size else "entries follow its end", named.size, size),
        ("it has another root", named.root.hex(), root),
    ):
        if wanted != found:
            raise PredecessorDiffers(what, expected=wanted, found=found)
    return f"{origin} ends with {counted(size, 'entry')}, as the first entry says"


def policy_of_predecessor(policy: Policy, origin: str) -> Policy | None:
    """The same trust for the log of `origin`; None where the policy has no key of it."""
    asked = policy.witnessing()
    keys = () if asked is None else asked.keys_of(origin)
    if not keys:
        return None
    return Policy(vkey=keys[0].vkey, roots=policy.roots, development=policy.development, witnesses=policy.witnesses)


def _are_keys_known(named: Predecessor, policy: Policy) -> bool:
    asked = policy.witnessing()
    return asked is not None and bool(asked.keys_of(last_checkpoint(named).origin))


def _words(last: Checkpoint, policy: Policy | None) -> str:
    vouched = "under keys that it names itself" if policy is None else "under keys of the policy"
    return f"continues {last.origin} after {counted(last.size, 'entry')}, {vouched}"
