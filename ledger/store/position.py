"""Where a statement may stand: once in a log, at the end of a stream that is open, in its actor's own order."""

from ledger.errors import Busy, Refused
from ledger.records import entry as entries
from ledger.records.actor import SignerProof
from ledger.records.log import StreamClosed
from ledger.records.statement import Statement
from ledger.store.protocol import StreamHead


class JtiReused(Refused):
    """The party used this statement id before, for other words."""

    code = "ledger/jti-reused"
    title = "Statement id was used before"


class StreamMoved(Refused):
    """Another entry came between what the actor saw and what it said."""

    code = "ledger/stream-moved"
    title = "Stream has moved on"


class StreamEnded(Refused):
    """The stream was closed; nothing follows."""

    code = "ledger/stream-closed"
    title = "Stream is closed"


class StreamMiscounted(Refused):
    """A closing record names another stream than its own, or another number of entries than there are."""

    code = "ledger/stream-miscounted"
    title = "Stream's end is miscounted"


class StatementReordered(Refused):
    """The actor's own counter did not grow: a statement was replayed or overtaken."""

    code = "ledger/statement-reordered"
    title = "Statement is out of order"


class SignerLate(Busy):
    """What proved the signer at the door no longer held when the statement's turn came; the door proves it anew."""

    code = "ledger/signer-late"
    title = "The signer's proof did not last"


def refuse_late(proof: SignerProof, at_ms: int, policy_index: int) -> None:
    """Raises SignerLate unless the proof holds for an entry of that time, under the policy in force there."""
    if at_ms >= proof.until_ms:
        raise SignerLate("the signer was proven for an earlier time", expected=f"before {proof.until_ms}", found=at_ms)
    if proof.policy_index is not None and proof.policy_index != policy_index:
        raise SignerLate(
            "the roots may have changed since the signer was proven", expected=policy_index, found=proof.policy_index
        )


def refuse_misplaced(statement: Statement, stream: StreamHead | None) -> None:
    """Raises StreamEnded, StreamMoved or StreamMiscounted unless the statement may follow this head."""
    claims = statement.claims
    if stream is not None and stream.is_closed:
        raise StreamEnded("the stream is closed", stream=claims.stream, seq=stream.seq)
    head = stream.leaf.hex() if stream else entries.NO_PREVIOUS
    if claims.exp_prev is not None and claims.exp_prev != head:
        raise StreamMoved("another entry came between", expected=claims.exp_prev, found=head, stream=claims.stream)
    closing = statement.record
    if isinstance(closing, StreamClosed):
        count = stream.seq if stream else 0
        if closing.closed != claims.stream or closing.n != count:
            raise StreamMiscounted(
                "a stream is closed in itself, after all its entries",
                expected=f"{claims.stream} after {count}",
                found=f"{closing.closed} after {closing.n}",
            )


def refuse_other_words(statement: Statement, before: str, index: int) -> None:
    """Raises JtiReused unless these are the words that entry `index` holds."""
    if before != statement.raw:
        raise JtiReused("the party used this id for another statement", jti=statement.claims.jti, index=index)
