"""GDPR Art. 16: a later entry says what is right. The earlier entry and its signature stay as they are."""

from typing import Any

from ledger.privacy.errors import RectificationUnfit
from ledger.privacy.opened import State
from ledger.privacy.vault import Vault
from ledger.records import canonical, disclosure, record, registry, statement
from ledger.records import entry as entries
from ledger.records.errors import DisclosureForeign, NotCanonical, RecordMalformed
from ledger.records.privacy import MAX_VALUE_CHARS, EntryRectified


def correction(vault: Vault, index: int, entry_bytes: bytes, subject: str, member: str, value: Any) -> EntryRectified:
    """The record that puts right one personal member that the entry discloses of this subject.

    The value fits the member's own type. Raises `RectificationUnfit` where the subject has no such member there, or
    the value does not fit, and `SubjectUnknown`.
    """
    uid = vault.uid_of(subject)
    entry = entries.decode(entry_bytes)
    opened = statement.parse_statement(entry.stmt)
    found = vault.open_many(record.digests(opened.claims.event), despite_restriction=True)
    texts = [one.text for one in found.values() if one.state is State.TEXT and one.text is not None and one.uid == uid]
    parsed = [disclosure.parse(text) for text in texts]
    if [one.name for one in parsed].count(member) != 1:
        raise RectificationUnfit("the entry says nothing of the subject under this name, or several things")
    changed = [disclosure.make(statement.new_salt(), one.name, value) if one.name == member else one for one in parsed]
    swapped = {old.digest: new.digest for old, new in zip(parsed, changed, strict=True)}
    kind = registry.kind(entry.type, entry.v)
    try:
        canonical.convert(record.reveal(_swap(opened.claims.event, swapped), changed), kind, kind.TYPE)
    except (DisclosureForeign, NotCanonical, RecordMalformed) as error:
        raise RectificationUnfit("the value is not one that this member may have", found=error.code) from None
    encoded = canonical.encode(value).decode()
    if len(encoded) > MAX_VALUE_CHARS:
        # It would stand in the log as a digest of what no reader may take.
        raise RectificationUnfit("the value is too long", expected=f"at most {MAX_VALUE_CHARS}", found=len(encoded))
    return EntryRectified(corrects=index, member=member, value=encoded)


def _swap(event: Any, swapped: dict[str, str]) -> Any:
    """`event` with digests replaced, so that the new value can be put where the old one stood."""
    if isinstance(event, list):
        return [_swap(one, swapped) for one in event]
    if not isinstance(event, dict):
        return event
    return {
        name: [swapped.get(one, one) for one in member] if name == "_sd" else _swap(member, swapped)
        for name, member in event.items()
    }
