"""`flexledger export openadr`: a bundle's request and proof as OpenADR 3.1 JSON, offline; it verifies nothing."""

from pathlib import Path

import msgspec
import typer

from api.cli import failures
from api.cli.claim_files import write_new
from api.cli.files import read_file
from api.errors import ApiError
from api.verification import openadr
from api.verification.bundle import open_bundle
from api.verification.bundle_format import MAX_BYTES
from ledger.errors import LedgerError
from ledger.records import entry as entries
from ledger.records import statement

UNUSABLE = 2


def run(bundle: Path, *, out: Path | None) -> int:
    """Exit code 0 when the JSON was written, 2 when the file is no bundle or `out` is there already."""
    try:
        opened = open_bundle(read_file(bundle, MAX_BYTES))
        stream = f"fsr/{opened.fsr_id}"
        read = [entries.decode(bytes(one.entry)) for one in opened.entries]
        said = [statement.parse_statement(one.stmt).record for one in read if one.stream == stream]
        text = msgspec.json.format(msgspec.json.encode(openadr.export(said)), indent=2) + b"\n"
        if out is not None:
            write_new(out, text)
    except (ApiError, LedgerError, ValueError, OverflowError) as error:
        # The last two are of times that RFC 3339 cannot say.
        typer.echo(f"unusable: {failures.told(error)}", err=True)
        return UNUSABLE
    if out is None:
        typer.echo(text.decode(), nl=False)
    return 0
