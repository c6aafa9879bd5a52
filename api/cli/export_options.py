"""`flexledger export openadr` and its options, beside the exports that hold personal data."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli import privacy_options

app = privacy_options.export_app


@app.command()
def openadr(
    bundle: Annotated[Path, typer.Argument(help="A bundle; verify it first, for this command verifies nothing.")],
    out: Annotated[Path | None, typer.Option(help="Write it here; must not exist. Else it is printed.")] = None,
) -> None:
    """Show a request and its proof as OpenADR 3.1 event and reports: exit 0 shown, 2 not a bundle."""
    from api.cli import export_openadr as command

    raise typer.Exit(command.run(bundle, out=out))
