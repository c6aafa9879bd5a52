"""What every rule is.

`number` and `source` are printed in `docs/reference/rules.md`; the invariants and the states that sources name stand on
the same page.
"""

from typing import ClassVar

from ledger.errors import Refused


class RuleViolated(Refused):
    """An authentic statement that a rule refuses: it is answered with a conflict and leaves a refusal entry."""

    code = "rules/violated"
    title = "A rule refuses this"
    number: ClassVar[str] = ""
    source: ClassVar[str] = ""
