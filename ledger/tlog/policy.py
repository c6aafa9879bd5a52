"""c2sp.org/tlog-policy: which logs and witnesses are trusted, and how many must have cosigned.

Names are opaque octets, so they are kept as bytes; only keys are read further. Nothing here reaches a network: URLs are
for whoever asks the witnesses.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.tlog import notekeys
from ledger.tlog.checkpoint import OpenedCheckpoint
from ledger.tlog.errors import KeyMalformed, PolicyMalformed, QuorumMissing
from ledger.tlog.notekeys import KeyKind, Verifier

MAX_POLICY_OCTETS: Final = 256 * 1024
MAX_LOGS: Final = 64
MAX_WITNESSES: Final = 64
MAX_GROUPS: Final = 64

NONE: Final = b"none"

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_BLANK: Final = re.compile(rb"[ \t]+")
_THRESHOLD: Final = re.compile(rb"[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class Peer:
    """A log or a witness: its key and, where the policy says it, where it is reached."""

    verifier: Verifier
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """At least `threshold` of the members must have witnessed; a member is a witness or an earlier group."""

    threshold: int
    members: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed policy. `quorum` is a witness's or a group's name; None means that no cosignature is needed."""

    logs: tuple[Peer, ...]
    witnesses: Mapping[bytes, Peer]
    groups: Mapping[bytes, Group]
    quorum: bytes | None

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """The keys of all witnesses, in the policy's order."""
        return tuple(peer.verifier for peer in self.witnesses.values())

    def keys_of(self, origin: str) -> tuple[Verifier, ...]:
        """The keys under which the policy accepts log `origin`; a log that changes its key has two for a while."""
        return tuple(peer.verifier for peer in self.logs if peer.verifier.name == origin)

    def require_quorum(self, opened: OpenedCheckpoint) -> tuple[bytes, ...]:
        """The names of the witnesses that cosigned, once they are enough; raises QuorumMissing.

        `opened` has to be opened with `verifiers` among the keys, else no cosignature of theirs was verified.
        """
        lines = {(line.name, line.key_id) for line in opened.cosignatures}
        found = tuple(
            name for name, peer in self.witnesses.items() if (peer.verifier.name, peer.verifier.key_id) in lines
        )
        if self.quorum is not None and not self._is_met(self.quorum, frozenset(found)):
            raise QuorumMissing(
                "too few witnesses cosigned this checkpoint",
                expected=f"the quorum {shown(self.quorum)}",
                found=", ".join(map(shown, found)) or "none",
                size=opened.checkpoint.size,
            )
        return found

    def _is_met(self, name: bytes, cosigned: frozenset[bytes]) -> bool:
        # Groups name only what stands above them, so this ends.
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self._is_met(member, cosigned) for member in group.members) >= group.threshold


def parse(data: bytes) -> Policy:
    """The policy in the file's octets; raises PolicyMalformed with the line."""
    if len(data) > MAX_POLICY_OCTETS:
        raise PolicyMalformed("too long", expected=f"<= {MAX_POLICY_OCTETS} octets", found=f"> {MAX_POLICY_OCTETS}")
    if _CONTROL.search(data):
        raise PolicyMalformed("control character", expected="tab and newline only")
    if data and not data.endswith(b"\n"):
        raise PolicyMalformed("the last line has no newline")
    reading = _Reading()
    for number, items in _lines(data):
        reading.take(items, number)
    return reading.policy()


def shown(name: bytes) -> str:
    """The name as text; octets that are not UTF-8 are shown as escapes."""
    return name.decode("utf-8", "backslashreplace")


def _lines(data: bytes) -> Iterator[tuple[int, list[bytes]]]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        items = [item for item in _BLANK.split(line) if item]
        if items and not items[0].startswith(b"#"):
            yield number, items


class _Reading:
    """A policy while its lines are read; every name is defined above the line that uses it."""

    def __init__(self) -> None:
        self.logs: list[Peer] = []
        self.witnesses: dict[bytes, Peer] = {}
        self.groups: dict[bytes, Group] = {}
        self.members: set[bytes] = set()
        self.quorums: list[bytes] = []

    def take(self, items: Sequence[bytes], line: int) -> None:
        """One line that is neither empty nor a comment."""
        keyword, *rest = items
        if keyword == b"log" and len(rest) in (1, 2):
            self._log(rest, line)
        elif keyword == b"witness" and len(rest) in (2, 3):
            self._witness(rest, line)
        elif keyword == b"group" and len(rest) >= 3:
            self._group(rest[0], rest[1], rest[2:], line)
        elif keyword == b"quorum" and len(rest) == 1:
            self._quorum(rest[0], line)
        else:
            raise PolicyMalformed("not a line of a policy", expected="log, witness, group or quorum", line=line)

    def policy(self) -> Policy:
        """What was read; raises PolicyMalformed without a quorum."""
        if not self.quorums:
            raise PolicyMalformed("no quorum line", expected="exactly one")
        quorum = None if self.quorums[0] == NONE else self.quorums[0]
        return Policy(tuple(self.logs), dict(self.witnesses), dict(self.groups), quorum)

    def _log(self, rest: Sequence[bytes], line: int) -> None:
        if len(self.logs) >= MAX_LOGS:
            raise PolicyMalformed("too many logs", expected=f"<= {MAX_LOGS}", line=line)
        peer = _peer(rest[0], rest[1:], KeyKind.ED25519, line)
        self._refuse_duplicate(peer, self.logs, line)
        self.logs.append(peer)

    def _witness(self, rest: Sequence[bytes], line: int) -> None:
        if len(self.witnesses) >= MAX_WITNESSES:
            raise PolicyMalformed("too many witnesses", expected=f"<= {MAX_WITNESSES}", line=line)
        self._refuse_name(rest[0], line)
        peer = _peer(rest[1], rest[2:], KeyKind.COSIGNATURE_V1, line)
        self._refuse_duplicate(peer, list(self.witnesses.values()), line)
        self.witnesses[rest[0]] = peer

    def _group(self, name: bytes, threshold: bytes, members: Sequence[bytes], line: int) -> None:
        if len(self.groups) >= MAX_GROUPS:
            raise PolicyMalformed("too many groups", expected=f"<= {MAX_GROUPS}", line=line)
        self._refuse_name(name, line)
        for member in members:
            if member not in self.witnesses and member not in self.groups:
                raise PolicyMalformed("no witness or group of this name above", found=shown(member), line=line)
            if member in self.members:
                raise PolicyMalformed("a member of two groups, or twice of one", found=shown(member), line=line)
            self.members.add(member)
        self.groups[name] = Group(_threshold(threshold, len(members), line), tuple(members))

    def _quorum(self, name: bytes, line: int) -> None:
        if self.quorums:
            raise PolicyMalformed("a second quorum line", expected="exactly one", line=line)
        if name != NONE and name not in self.witnesses and name not in self.groups:
            raise PolicyMalformed("no witness or group of this name above", found=shown(name), line=line)
        self.quorums.append(name)

    def _refuse_name(self, name: bytes, line: int) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise PolicyMalformed("a name that is taken", found=shown(name), line=line)

    def _refuse_duplicate(self, peer: Peer, others: Sequence[Peer], line: int) -> None:
        # Two names for one key would let one witness count twice.
        if any(other.verifier.public == peer.verifier.public for other in others):
            raise PolicyMalformed("a key that stands above already", found=peer.verifier.name, line=line)


def _peer(vkey: bytes, url: Sequence[bytes], kind: KeyKind, line: int) -> Peer:
    try:
        verifier = notekeys.parse_vkey(vkey.decode())
        where = url[0].decode() if url else None
    except (KeyMalformed, UnicodeDecodeError):
        raise PolicyMalformed("not a verifier key", expected="name+id+key", line=line) from None
    if verifier.kind is not kind:
        raise PolicyMalformed("a key of another type", expected=kind.name, found=verifier.kind.name, line=line)
    return Peer(verifier, where)


def _threshold(text: bytes, count: int, line: int) -> int:
    if text in (b"any", b"all"):
        return 1 if text == b"any" else count
    if not _THRESHOLD.fullmatch(text) or int(text) > count:
        raise PolicyMalformed("not a threshold", expected=f"any, all or 1 to {count}", found=shown(text), line=line)
    return int(text)
