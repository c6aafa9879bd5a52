"""Every row there is, and why the others are not measured."""

from typing import Final

from tests.bench import (
    p01_append,
    p02_neighbours,
    p03_postgres,
    p04_https,
    p06_audit,
    p08_proofs,
    p09_growth,
    p12_credentials,
    p14_status,
    p16_issuance,
    p17_formats,
    p18_stations,
    p21_privacy,
    p23_exports,
    p24_processes,
)
from tests.bench.frame import Row

ROWS: Final[tuple[Row, ...]] = (
    *p01_append.ROWS,
    *p02_neighbours.ROWS,
    *p03_postgres.ROWS,
    *p04_https.ROWS,
    *p06_audit.ROWS,
    *p08_proofs.ROWS,
    *p09_growth.ROWS,
    *p12_credentials.ROWS,
    *p14_status.ROWS,
    *p16_issuance.ROWS,
    *p17_formats.ROWS,
    *p18_stations.ROWS,
    *p21_privacy.ROWS,
    *p23_exports.ROWS,
    *p24_processes.ROWS,
)

NOT_MEASURED: Final[dict[str, str]] = {}
"""Row to reason."""
