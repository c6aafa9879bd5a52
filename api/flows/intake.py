"""What is in the vault and not yet in the log: kept before the append, and forgotten at once where the log refuses it.

The vault comes first, so that no digest ever stands in the log that nobody could open. What is loose when the service
dies is collected at the next start; what is loose when a statement is refused is taken back here, unless another
statement that is under way, or was accepted meanwhile, brought the very same.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from ledger.privacy.held import Held, Paper
from ledger.privacy.keys import ORGANISATION
from ledger.privacy.taking import Place
from ledger.privacy.vault import Vault

RETENTION: Final = "P3Y"
"""How long a person's paper is kept."""

_KEY_OF: Final = {"facet": "digest", "undisclosed": "digest", "attachment": "id", "subject": "uid"}


class Intake:
    """The one way into the vault for what comes with a statement."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._loose: dict[Place, int] = {}
        """How many statements under way rest on a row that no entry vouches for yet."""
        self._is_doubted = False

    @property
    def is_sure(self) -> bool:
        """Whether every row that was brought is known to have its entry, or is gone."""
        return not self._loose and not self._is_doubted

    def bring(self, held: Sequence[Held], papers: Sequence[Paper], undisclosed: Sequence[str]) -> frozenset[Place]:
        """Everything is durable when this returns; the answer is what `settle` or `take_back` must be told.

        Raises what `Vault.keep` and `Vault.attach` raise; then nothing is kept.
        """
        if not held and not papers and not undisclosed:
            return frozenset()
        taken = self._vault.take_in(held, papers, undisclosed)
        loose = taken.new | {place for place in taken.met if place in self._loose}
        for place in loose:
            self._loose[place] = self._loose.get(place, 0) + 1
        return loose

    def settle(self, brought: Iterable[Place]) -> None:
        """An entry vouches for it."""
        for place in brought:
            self._loose.pop(place, None)

    def doubt(self, brought: Iterable[Place]) -> None:
        """Nobody knows whether an entry vouches for it: it stays, and the next start looks."""
        self._is_doubted = True
        self.settle(brought)

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
