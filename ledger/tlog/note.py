"""c2sp.org/signed-note: text that several keys sign, each with a line beneath it.

Keys live in `notekeys`; the names that a caller needs are given here too, so that `note.open(...)`,
`note.NoteSigner` and `note.parse_vkey(...)` read as one thing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.tlog import notekeys
from ledger.tlog.errors import KeyAmbiguous, NoteMalformed, NoteUnverified
from ledger.tlog.notekeys import Cosigner, KeyKind, NoteSigner, Signature, Signer, Verifier, parse_vkey

__all__ = [
    "MAX_NOTE_OCTETS",
    "MAX_SIGNATURES",
    "Cosigner",
    "KeyKind",
    "NoteSigner",
    "OpenedNote",
    "ParsedNote",
    "Signature",
    "Signer",
    "Verifier",
    "add_signatures",
    "open",
    "parse",
    "parse_text",
    "parse_vkey",
    "sign",
]

MAX_NOTE_OCTETS: Final = 2**20
MAX_SIGNATURES: Final = 100

_PREFIX: Final = notekeys.EM_DASH + " "


@dataclass(frozen=True, slots=True)
class ParsedNote:
    """A well-formed note; nothing of it is authentic yet."""

    text: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class OpenedNote:
    """A note of which at least one signature is a trusted key's, and none of a trusted key's is wrong."""

    text: str
    verified: tuple[Signature, ...]
    """One a key, in the note's order."""
    unverified: tuple[Signature, ...]
    """The lines of keys that are not trusted here: keep them, believe nothing of them."""


def sign(text: str, signers: Sequence[Signer]) -> bytes:
    """The note of this text with a line by each signer; raises NoteMalformed."""
    notekeys.refuse_text(text)
    if not signers:
        raise NoteMalformed("a note has at least one signature")
    return (text + "\n" + "".join(signer.sign(text) for signer in signers)).encode()


def add_signatures(note: bytes, lines: Iterable[str]) -> bytes:
    """The note with more signature lines, such as a witness answered; raises NoteMalformed."""
    longer = note + "".join(lines).encode()
    # An empty line among those added would make the old signatures part of the text.
    if parse(longer).text != parse(note).text:
        raise NoteMalformed("not signature lines")
    return longer


def parse_text(note: bytes) -> str:
    """The text of the note, whatever its signature lines are; raises NoteMalformed."""
    return _divide(note)[0]


def parse(note: bytes) -> ParsedNote:
    """The text and the signatures, in the note's order, a repeated line once; raises NoteMalformed.

    At most MAX_NOTE_OCTETS and MAX_SIGNATURES lines.
    """
    text, tail = _divide(note)
    if not tail.endswith("\n"):
        raise NoteMalformed("the last line has no newline")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteMalformed("too many signatures", expected=f"<= {MAX_SIGNATURES}", found=len(lines))
    signatures = (_parse_line(line, number) for number, line in enumerate(lines, start=1))
    return ParsedNote(text, tuple(dict.fromkeys(signatures)))


def open(note: bytes, verifiers: Sequence[Verifier]) -> OpenedNote:  # noqa: A001  # always read as note.open
    """The note, if at least one signature is by one of `verifiers` and all of theirs are right.

    Lines by other keys are ignored, also when they share a name or a key ID, but not both, with a known key. Raises
    NoteMalformed, NoteUnverified, or KeyAmbiguous when two verifiers claim the same line.
    """
    parsed = parse(note)
    known: dict[tuple[str, int], list[Verifier]] = {}
    for verifier in verifiers:
        known.setdefault((verifier.name, verifier.key_id), []).append(verifier)
    verified: dict[tuple[str, int], Signature] = {}
    unverified: list[Signature] = []
    for signature in parsed.signatures:
        key = (signature.name, signature.key_id)
        trusted = known.get(key, [])
        if not trusted:
            unverified.append(signature)
        elif len(trusted) > 1:
            raise KeyAmbiguous("two keys have this name and key ID", name=key[0], key_id=f"{key[1]:08x}")
        else:
            verified.setdefault(key, trusted[0].verify(parsed.text, signature))
    if not verified:
        raise NoteUnverified("no signature by a trusted key", found=f"{len(unverified)} by other keys")
    return OpenedNote(parsed.text, tuple(verified.values()), tuple(unverified))


def _divide(note: bytes) -> tuple[str, str]:
    """The text and the signature lines: the last empty line divides, and the text keeps its own newline."""
    if len(note) > MAX_NOTE_OCTETS:
        raise NoteMalformed("note too long", expected=f"<= {MAX_NOTE_OCTETS} octets", found=len(note))
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise NoteMalformed("not UTF-8", octet=error.start) from None
    head, divider, tail = whole.rpartition("\n\n")
    if not divider or not tail:
        raise NoteMalformed("no signatures", expected="text, an empty line, signature lines")
    text = head + "\n"
    notekeys.refuse_text(text)
    return text, tail


def _parse_line(line: str, number: int) -> Signature:
    name, space, encoded = line.removeprefix(_PREFIX).partition(" ")
    octets = notekeys.decode_base64(encoded)
    if not line.startswith(_PREFIX) or not space or not notekeys.is_name(name) or octets is None:
        raise NoteMalformed("not a signature line", expected=f"{_PREFIX}name base64", line=number)
    if len(octets) <= notekeys.KEY_ID_SIZE:
        raise NoteMalformed("signature too short", expected="> 4 octets", found=len(octets), line=number)
    key_id = int.from_bytes(octets[: notekeys.KEY_ID_SIZE], "big")
    return Signature(name, key_id, octets[notekeys.KEY_ID_SIZE :])
