"""The rows of the rules' state on PostgreSQL: what others changed of them, and making all anew."""

from collections.abc import Iterable
from typing import Final

import asyncpg

from ledger.rules.tables import Row

REPLACE_TIMEOUT_S: Final = 3600.0
"""How long making all of them anew may take: they are as many as the log has things in it."""

CHANGED: Final = "SELECT kind, key FROM projection WHERE idx >= $1"


async def replace(connection: "asyncpg.Connection[asyncpg.Record]", rows: Iterable[Row], version: str) -> None:
    """In the open transaction, which holds the head, there are these rows and no others, kept by `version`."""
    last = await connection.fetchval("SELECT size - 1 FROM head")
    await connection.execute("DELETE FROM projection", timeout=REPLACE_TIMEOUT_S)
    written = ((row.kind, row.key, row.value, last, row.born, row.until_ms) for row in rows)
    await connection.copy_records_to_table("projection", records=written, timeout=REPLACE_TIMEOUT_S)
    await connection.execute("UPDATE head SET projected = $1", version)
