"""The page about scale lists all the SQL that the log asks of a server, so that other engines can be judged by it."""

import ast
import re
from pathlib import Path

from ledger.store import postgres_schema
from tests.support.vectors import REPOSITORY

PAGE = REPOSITORY / "docs" / "explanation" / "scale.md"
SOURCES = (*sorted(path.name for path in Path(postgres_schema.__file__).parent.glob("postgres*.py")), "reads.py")
VERBS = re.compile(
    r"\b(SELECT|INSERT|UPDATE|DELETE|BEGIN|COMMIT|ROLLBACK|DECLARE|FETCH|CLOSE|SHOW|SET|CREATE|WITH|COPY|WHERE|ORDER|LIMIT|CURSOR|RETURNING|DISTINCT|string_to_array)\b"
)
METHODS = {"copy_records_to_table": "COPY"}
"""Calls of the driver that become a statement of their own."""


def sql() -> str:
    """Every SQL text of the log's store for PostgreSQL, without quoted strings."""
    found = list(postgres_schema.VERSIONS)
    for name in SOURCES:
        tree = ast.parse((Path(postgres_schema.__file__).parent / name).read_text(encoding="utf-8"))
        standing = {text for node in ast.walk(tree) if isinstance(node, ast.Expr) and (text := text_of(node.value))}
        texts = [text for node in ast.walk(tree) if (text := text_of(node)) and text not in standing]
        found += [text for text in texts if VERBS.search(text)]
        found += [
            METHODS[node.attr] for node in ast.walk(tree) if isinstance(node, ast.Attribute) if node.attr in METHODS
        ]
    return re.sub(r"'[^']*'|--[^\n]*", " ", "\n".join(found))


def text_of(node: ast.AST) -> str | None:
    """The text of a string that stands in the code."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def words(text: str) -> set[str]:
    """Key words, as they are written in our SQL, and the functions that are called."""
    upper = set(re.findall(r"\b[A-Z]{2,}\b", text))
    called = {name for name in re.findall(r"\b([a-z_]+)\(", text) if name not in OURS}
    return upper | called


OURS = {"refuse_change", "refuse_other_note", "refuse_shrinking"}
NOT_SQL = {
    "TG",
    "RAISE",
    "EXCEPTION",
    "ERRCODE",
    "LANGUAGE",
    "THEN",
    "END",
    "RETURN",
    "RETURNS",
    "REPLACE",
    "USING",
}
"""Words of the triggers' bodies, which the page names as PL/pgSQL."""


def listed() -> set[str]:
    section = PAGE.read_text(encoding="utf-8").partition("## The SQL in use")[2].partition("\n## ")[0]
    return words("\n".join(re.findall(r"`([^`]+)`", section)))


def test_every_word_of_sql_that_the_store_uses_is_on_the_page_and_no_other() -> None:
    used = words(sql()) - NOT_SQL
    assert len(used) > 40
    assert used - listed() == set(), "used, and not on the page"
    assert listed() - used == set(), "on the page, and not used"
