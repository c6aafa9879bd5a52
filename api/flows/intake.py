"""What is in the vault and not yet in the log: kept before the append, and forgotten at once where the log refuses it.

The vault comes first, so that no digest ever stands in the log that nobody could open. What is loose when the service
dies is collected at the next start; what is loose when a statement is refused is taken back here, unless another
statement that is under way, or was accepted meanwhile, brought the very same.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ledger.privacy import openings
from ledger.privacy.errors import SubjectUnknown
from ledger.privacy.keys import ORGANISATION
from ledger.privacy.vault import Held, Vault
from ledger.records import disclosure, marks

RETENTION: Final = "P3Y"
"""How long a person's paper is kept."""

Place = tuple[str, bytes]
"""A table of the vault and the key of a row in it."""

_KEY_OF: Final = {"facet": "digest", "undisclosed": "digest", "attachment": "id", "subject": "uid"}


@dataclass(frozen=True, slots=True)
class Paper:
    """A document about a person, which the vault keeps."""

    data: bytes = field(repr=False)
    subject: str = field(repr=False)


class Intake:
    """The one way into the vault for what comes with a statement."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._loose: dict[Place, int] = {}
        """How many statements under way rest on a row that no entry vouches for yet."""

    def bring(self, held: Sequence[Held], papers: Sequence[Paper], undisclosed: Sequence[str]) -> frozenset[Place]:
        """Everything is durable when this returns; the answer is what `settle` or `take_back` must be told.

        Raises what `Vault.keep` and `Vault.attach` raise; then nothing is kept.
        """
        before = self._present(held, papers, undisclosed)
        try:
            for paper in papers:
                self._vault.attach(
                    paper.data, subject=paper.subject, category=marks.Category.CREDENTIAL, retention=RETENTION
                )
            self._vault.keep(held)
            self._vault.note_undisclosed(undisclosed)
        except BaseException:
            self._forget(self._present(held, papers, undisclosed) - before)
            raise
        after = self._present(held, papers, undisclosed)
        loose = frozenset(place for place in after if place not in before or place in self._loose)
        for place in loose:
            self._loose[place] = self._loose.get(place, 0) + 1
        return loose

    def settle(self, brought: Iterable[Place]) -> None:
        """An entry vouches for it, or nobody knows whether one does: it stays."""
        for place in brought:
            self._loose.pop(place, None)

    def take_back(self, brought: Iterable[Place]) -> None:
        """The log refused the statement: what only it brought is forgotten, and who only it named."""
        alone = set()
        for place in brought:
            count = self._loose.get(place)
            if count == 1:
                del self._loose[place]
                alone.add(place)
            elif count is not None:
                self._loose[place] = count - 1
        self._forget(alone)

    def _present(self, held: Sequence[Held], papers: Sequence[Paper], undisclosed: Sequence[str]) -> set[Place]:
        """The rows that are there of all that a statement brings."""
        database = self._vault.database
        wanted = [("facet", openings.digest_bytes(disclosure.digest(one.text))) for one in held]
        wanted += [("undisclosed", openings.digest_bytes(one)) for one in undisclosed]
        found = {
            place
            for place in wanted
            if database.scalar(f"SELECT 1 FROM {place[0]} WHERE digest = ?", (place[1],))  # noqa: S608 -- our own names
        }
        for tag in {self._vault.attachment_tag(hashlib.sha256(paper.data).hexdigest()) for paper in papers}:
            rows = database.rows("SELECT id FROM attachment WHERE tag = ?", (tag,))
            found |= {("attachment", row[0]) for row in rows}
        named = {one.subject for one in held if one.subject is not None} | {paper.subject for paper in papers}
        for name in named:
            try:
                found.add(("subject", self._vault.uid_of(name)))
            except SubjectUnknown:
                continue
        return found

    def _forget(self, places: Iterable[Place]) -> None:
        """Rows go first, then whoever is left with nothing: key, then name, as an erasure does it."""
        gone = sorted(places)
        database = self._vault.database
        with database.transaction():
            for table, key in gone:
                if table != "subject":
                    database.execute(f"DELETE FROM {table} WHERE {_KEY_OF[table]} = ?", (key,))  # noqa: S608
            for uid in [key for table, key in gone if table == "subject" and key != ORGANISATION]:
                if not self._has_anything(uid):
                    self._vault.keys.destroy_subject_key(uid)
                    database.execute("DELETE FROM subject WHERE uid = ?", (uid,))

    def _has_anything(self, uid: bytes) -> bool:
        return bool(
            self._vault.database.scalar(
                "SELECT 1 FROM facet WHERE uid = ?1 UNION ALL SELECT 1 FROM attachment WHERE uid = ?1 "
                "UNION ALL SELECT 1 FROM subject WHERE uid = ?1 AND (hold IS NOT NULL OR restriction IS NOT NULL) "
                "UNION ALL SELECT 1 FROM erasure WHERE uid = ?1",
                (uid,),
            )
        )
