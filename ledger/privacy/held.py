"""What is handed to the vault, and what each ciphertext in it is bound to."""

from dataclasses import dataclass, field

from ledger.privacy.keys import framed
from ledger.records.marks import Category


@dataclass(frozen=True, slots=True)
class Held:
    """One disclosure to keep, as transmitted (RFC 9901); `subject` is the natural id of the person, if it has one."""

    text: str = field(repr=False)
    subject: str | None = field(repr=False)
    category: Category
    retention: str


@dataclass(frozen=True, slots=True)
class Paper:
    """A document about a person, or about nobody in particular."""

    data: bytes = field(repr=False)
    subject: str | None = field(repr=False)
    category: Category
    retention: str


def facet_label(uid: bytes, digest: bytes, category: str, retention: str, period: str) -> bytes:
    """What a facet's ciphertext is bound to: moved to another row, it does not open."""
    return framed(b"flexledger facet v1", uid, digest, category.encode(), retention.encode(), period.encode())


def attachment_label(uid: bytes, identity: bytes, category: str, retention: str, period: str) -> bytes:
    """What an attachment's ciphertext is bound to."""
    return framed(b"flexledger attachment v1", uid, identity, category.encode(), retention.encode(), period.encode())


def name_label(uid: bytes) -> bytes:
    """What the ciphertext of a subject's own name is bound to."""
    return framed(b"flexledger name v1", uid)
