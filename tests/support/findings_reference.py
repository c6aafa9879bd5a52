"""docs/reference/findings.md, from the codes of an audit's findings."""

from typing import Final

from ledger.audit.report import Code

HEAD: Final = """\
# Findings of an audit

Generated from the code; a test compares this page with it. Findings are named like [errors](errors.md): where both name
the same fault, they have the same code.

| code | what it says |
|---|---|"""

MEMBERS: Final = """\
Beside `code` and `detail` a finding says where, as far as there is a place:

| member | what it is |
|---|---|
| `index` | The entry; of a tile, the first entry under it; of a cut tail, the first entry that is missing. |
| `stream`, `seq` | The entry's stream and its place there. |
| `previous_index` | The entry that it should follow, or that it repeats. |
| `level`, `tile` | The tile (c2sp.org/tlog-tiles). |
| `window_start`, `window_end` | The first change is at or after the one and before the other; of `ledger/entry-replaced` and `ledger/copy-unusable`, all from the one to before the other. |
| `file` | The file of a static log, or a checkpoint or mirror that was brought along. |
| `table` | The table of a database. |
| `expected`, `found` | The value that the log implies, and the one that is stored. |

A report lists the first 1,000 findings of a log and counts the rest.
"""


def findings() -> str:
    """Every code of an audit's findings, and the members of one."""
    rows = [f"| `{code.value}` | {code.meaning} |" for code in sorted(Code)]
    return "\n".join([HEAD, *rows, "", MEMBERS])
