"""What is done about a log: `flexledger log`, `timestamp`, `mirror` and `witness`, their options, and nothing else."""

from pathlib import Path
from typing import Annotated

import typer

log_app = typer.Typer(help="A log's key, its roots and its end.", no_args_is_help=True)
timestamp_app = typer.Typer(help="Time stamps (RFC 3161) over a log's checkpoints.", no_args_is_help=True)
mirror_app = typer.Typer(help="A log as static files (c2sp.org/tlog-tiles).", no_args_is_help=True)
witness_app = typer.Typer(
    help="A witness: cosigns other logs' checkpoints (c2sp.org/tlog-witness).", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Policy = Annotated[Path | None, typer.Option("--policy", help="File with the log key and roots that you trust.")]
Config = Annotated[Path, typer.Argument(help="The settings file (TOML).")]
DsnFile = Annotated[
    Path | None,
    typer.Option("--dsn-file", help="File, mode 0600, with the URI of the PostgreSQL server that holds the log."),
]
Schema = Annotated[str, typer.Option("--schema", help="The log's schema on that server.")]


@log_app.command("rotate-key")
def log_rotate_key(
    config: Config,
    overlap_days: Annotated[int, typer.Option(min=1, max=366, help="For how long the old key signs as well.")] = 30,
) -> None:
    """Give a log its next key, which signs beside the old one for a while: exit 0 done, 2 nothing was changed."""
    from api.cli import log_life as command

    raise typer.Exit(command.rotate_key(config, overlap_days=overlap_days))


@log_app.command("retire-key")
def log_retire_key(
    config: Config,
    now: Annotated[bool, typer.Option("--now", help="Before the promised time, as after a theft.")] = False,
) -> None:
    """Take the old key away once the overlap is over: exit 0 done, 2 nothing was changed."""
    from api.cli import log_life as command

    raise typer.Exit(command.retire_key(config, is_now=now))


@log_app.command("roots")
def log_roots(config: Config, json: Json = False) -> None:
    """Show under which roots a log admits statements, and from when until when: exit 0 shown, 2 unreadable."""
    from api.cli import log_roots as command

    raise typer.Exit(command.show(config, json=json))


@log_app.command("change-roots")
def log_change_roots(
    config: Config,
    paper: Annotated[Path, typer.Argument(help="What a ceremony wrote: a root is to count in this log, or to end.")],
) -> None:
    """Have a running log adopt another root, or end one: exit 0 done or done before, 2 nothing was changed."""
    from api.cli import log_roots as command

    raise typer.Exit(command.change(config, paper))


@log_app.command("freeze")
def log_freeze(
    config: Config,
    reason: Annotated[str, typer.Option(help="period-end, key-stolen or closed.")],
    out: Annotated[Path, typer.Option(help="Where the last checkpoint goes; must not exist.")],
) -> None:
    """End a log, for ever: exit 0 ended, 3 ended but not cosigned by enough, 2 nothing was changed."""
    from api.cli import log_life as command

    raise typer.Exit(command.freeze(config, reason=reason, out=out))


@timestamp_app.command("request")
def timestamp_request(
    checkpoint: Annotated[Path, typer.Argument(help="A signed checkpoint.")],
    out: Annotated[Path, typer.Argument(help="Where the request goes; post it to any time-stamping authority.")],
) -> None:
    """Write the request for a time stamp over a checkpoint."""
    from api.cli import timestamp as command

    raise typer.Exit(command.request(checkpoint, out))


@timestamp_app.command("verify")
def timestamp_verify(
    checkpoint: Annotated[Path, typer.Argument(help="The signed checkpoint.")],
    response: Annotated[Path, typer.Argument(help="What the authority answered.")],
    tsa: Annotated[Path, typer.Option(help="PEM file: the authorities whose time you believe.")],
    policy: Policy = None,
    json: Json = False,
) -> None:
    """Verify offline when a checkpoint existed at the latest: exit 0 verified, 1 refuted, 2 unusable."""
    from api.cli import timestamp as command

    raise typer.Exit(command.verify(checkpoint, response, tsa=tsa, policy=policy, json=json))


@mirror_app.command("update")
def mirror_update(
    place: Annotated[
        Path, typer.Argument(help="A service's folder, its data directory or its settings file; the service may run.")
    ],
    directory: Annotated[Path, typer.Argument(help="Where the files go: new, or an older mirror of the same log.")],
    dsn_file: DsnFile = None,
    schema: Schema = "flexledger",
) -> None:
    """Write the log as static files (c2sp.org/tlog-tiles), or bring such a copy up to date: exit 0 done, 2 not."""
    from api.cli import mirror as command

    raise typer.Exit(command.update(place, directory, dsn_file=dsn_file, schema=schema))


@mirror_app.command("serve")
def mirror_serve(
    directory: Annotated[Path, typer.Argument(help="A static log; it may be brought up to date meanwhile.")],
    listen: Annotated[str, typer.Option(help="Where to listen; port 0 lets the system choose.")] = "127.0.0.1:8446",
    certificate: Annotated[Path | None, typer.Option("--cert", help="For TLS: the server's chain (PEM).")] = None,
    key: Annotated[Path | None, typer.Option("--key", help="For TLS: its private key (PEM).")] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write the bound address here as JSON once it accepts.")
    ] = None,
) -> None:
    """Serve a static log to anybody until SIGTERM or SIGINT: exit 0 after a signal, 2 when it cannot."""
    from api.cli import mirror as command

    code = command.serve(directory, listen=listen, certificate=certificate, key=key, ready_file=ready_file)
    raise typer.Exit(code)


@witness_app.command("init")
def witness_init(
    directory: Annotated[Path, typer.Argument(help="Where to make the witness; must not exist or be empty.")],
    name: Annotated[str, typer.Option(help="Its name in cosignatures, such as witness.example/aurora.")],
    log: Annotated[
        list[str], typer.Option(help="Verifier key of a log to witness, or a file that holds it; once for each log.")
    ],
    host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to bind; 0 lets the system choose.")] = 8444,
) -> None:
    """Make a witness: key, empty memory and settings."""
    from api.cli import witness as command

    raise typer.Exit(command.make(directory, name=name, logs=log, host=host, port=port))


@witness_app.command("run")
def witness_run(
    config: Annotated[Path, typer.Argument(help="The witness's settings (TOML).")],
    ready_file: Annotated[
        Path | None, typer.Option(help="Write the bound address here as JSON once the witness accepts.")
    ] = None,
) -> None:
    """Run the witness until SIGTERM or SIGINT."""
    from api.cli import witness as command

    raise typer.Exit(command.run(config, ready_file=ready_file))


@witness_app.command("forks")
def witness_forks(
    config: Annotated[Path, typer.Argument(help="The witness's settings (TOML).")],
    out: Annotated[Path | None, typer.Option(help="Write an evidence file for each fork into this folder.")] = None,
) -> None:
    """Say which logs showed this witness two histories: exit 0 none, 1 some."""
    from api.cli import witness as command

    raise typer.Exit(command.forks(config, out=out))
