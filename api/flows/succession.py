"""How a log begins that continues another one: what its first entry says of its predecessor."""

from pathlib import Path
from typing import Final

from api import settings
from api.errors import Refused
from ledger import plain_file
from ledger.errors import LedgerError
from ledger.records.log import MAX_PREDECESSOR_CHARACTERS, Predecessor
from ledger.tlog import checkpoint, note
from ledger.tlog import policy as policies

MAX_KEYS_BYTES: Final = 64 * 1024


class PredecessorUnproven(Refused):
    """The old log's last checkpoint cannot be taken for one."""

    code = "api/predecessor-unproven"
    title = "Predecessor is not proven"


def named(wanted: settings.Predecessor, origin: str) -> Predecessor:
    """The predecessor as the first entry of log `origin` names it, with the lines that are worth something.

    Raises `PredecessorUnproven` unless a key of the old log signed its checkpoint and enough witnesses cosigned it.
    """
    try:
        signed = _read(wanted.checkpoint, note.MAX_NOTE_OCTETS)
        lines = _read(wanted.vkeys, MAX_KEYS_BYTES).decode("ascii").split()
        own = [note.parse_vkey(line) for line in lines]
        asked = None if wanted.witnesses is None else policies.parse(_read(wanted.witnesses, MAX_KEYS_BYTES))
        keys = [*own, *(() if asked is None else asked.verifiers)]
        old = checkpoint.parse(note.parse_text(signed)).origin
        opened = checkpoint.open_checkpoint(signed, old, keys)
        if asked is not None:
            asked.require_quorum(opened)
    except LedgerError as error:
        raise PredecessorUnproven(error.detail, expected=error.expected, found=error.code) from error
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or "not text"
        raise PredecessorUnproven("a file of the predecessor cannot be read", found=found) from error
    if old == origin:
        raise PredecessorUnproven("a log does not continue itself", found=old)
    kept = opened.note.text + "\n" + "".join(line.line() for line in opened.note.verified)
    if len(kept) > MAX_PREDECESSOR_CHARACTERS:
        raise PredecessorUnproven(
            "too many cosignatures", expected=f"<= {MAX_PREDECESSOR_CHARACTERS} characters", found=len(kept)
        )
    signers = {(line.name, line.key_id) for line in opened.note.verified}
    vkeys = tuple(key.vkey for key in keys if (key.name, key.key_id) in signers)
    return Predecessor(checkpoint=kept, vkeys=vkeys)


def _read(path: Path, limit: int) -> bytes:
    with plain_file.opened(path) as file:
        return file.read(limit + 1)
