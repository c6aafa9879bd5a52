"""The command `flexledger`: every subcommand, its options and nothing else."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli import (
    claim_options,
    contract_options,
    export_options,
    log_options,
    party_options,
    pki_options,
    privacy_options,
    request_options,
    site_options,
)

app = typer.Typer(
    name="flexledger",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(pki_options.app, name="pki")
app.add_typer(privacy_options.app, name="privacy")
app.add_typer(export_options.app, name="export")
app.add_typer(party_options.app)
app.add_typer(request_options.app, name="request")
app.add_typer(site_options.app, name="site")
app.add_typer(contract_options.app, name="contract")
app.add_typer(contract_options.delegation_app, name="delegation")
app.add_typer(contract_options.schedule_app, name="schedule")
app.add_typer(log_options.witness_app, name="witness")
app.add_typer(claim_options.app, name="claim")
app.add_typer(log_options.timestamp_app, name="timestamp")
app.add_typer(log_options.mirror_app, name="mirror")
app.add_typer(log_options.log_app, name="log")

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Policy = Annotated[Path | None, typer.Option("--policy", help="File with the log key and roots that you trust.")]
Folder = Annotated[Path, typer.Argument(help="A data directory.")]
Config = Annotated[Path, typer.Argument(help="The settings file (TOML).")]
DsnFile = Annotated[
    Path | None,
    typer.Option("--dsn-file", help="File, mode 0600, with the URI of the PostgreSQL server that holds the log."),
]
Schema = Annotated[str, typer.Option("--schema", help="The log's schema on that server.")]


def _version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"flexledger {version('flexledger')}")
        raise typer.Exit


@app.callback()
def flexledger(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """The credential and audit ledger of EV flexibility services."""


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A bundle, a receipt, or evidence against a log.")],
    policy: Policy = None,
    entry: Annotated[
        Path | None, typer.Option(help="The entry that a receipt is for, where the receipt does not bring it along.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with pictures of what was delivered here (HTML); must not exist.")
    ] = None,
    json: Json = False,
) -> None:
    """Verify a bundle, a receipt or evidence offline: exit 0 verified, 1 refuted, 2 unusable, 3 indeterminate."""
    from api.cli import verify as command

    raise typer.Exit(command.run(file, policy=policy, entry=entry, report_to=report, json=json))


@app.command()
def audit(
    place: Annotated[
        Path, typer.Argument(help="A service's folder, its data directory or its settings file, or a static log.")
    ],
    policy: Policy = None,
    dsn_file: DsnFile = None,
    schema: Schema = "flexledger",
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="File with a signed checkpoint that you kept or a witness has; may be given several times."),
    ] = None,
    mirror: Annotated[
        list[Path] | None,
        typer.Option(
            help="Mirror of the log, kept elsewhere: names each entry that is another one now; may be repeated."
        ),
    ] = None,
    request: Annotated[str, typer.Option(help="The FSR whose stream is to be shown complete.")] = "",
    predecessor: Annotated[
        Path | None, typer.Option(help="The log that this one continues, audited too: a place like the first one.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0 stands for one a core.")] = 0,
    json: Json = False,
) -> None:
    """Check a whole log again from its bytes: exit 0 verified, 1 refuted, 2 unusable, 3 indeterminate."""
    from api.cli import audit as command

    code = command.run(
        place,
        policy=policy,
        json=json,
        dsn_file=dsn_file,
        schema=schema,
        checkpoints=checkpoint or (),
        mirrors=mirror or (),
        request=request or None,
        predecessor=predecessor,
        jobs=jobs,
    )
    raise typer.Exit(code)


@app.command()
def backup(
    config: Config,
    directory: Annotated[Path, typer.Argument(help="Where the copy goes; must not exist.")],
) -> None:
    """Copy the log and the office's store, whole and consistent, also while the service runs; no keys, no vault."""
    from api.cli import backup as command

    raise typer.Exit(command.make(config, directory))


@app.command("restore-check")
def restore_check(
    config: Config, directory: Annotated[Path, typer.Argument(help="A folder that `flexledger backup` made.")]
) -> None:
    """Say whether a backup can be restored: exit 0 yes, 1 damaged, 2 unusable, 3 behind what was signed since."""
    from api.cli import backup as command

    raise typer.Exit(command.check(config, directory))


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where to make the service; must not exist or be empty.")],
    ceremony: Annotated[Path | None, typer.Option(help="The ceremony file (TOML): who gets which credential.")] = None,
    party: Annotated[str, typer.Option(help="The party of the ceremony that operates the port.")] = "",
    origin: Annotated[str, typer.Option(help="The log's origin; it can never change.")] = "",
) -> None:
    """Make a service: credentials from a ceremony file, log key, key ring and settings."""
    from api.cli import init as command

    raise typer.Exit(command.run(directory, ceremony=ceremony, party=party, origin=origin))


@app.command()
def serve(
    config: Config,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write the bound addresses here as JSON once the service accepts.")
    ] = None,
) -> None:
    """Run the service until SIGTERM or SIGINT."""
    from api.cli import serve as command

    raise typer.Exit(command.run(config, ready_file=ready_file))


@app.command()
def dev(
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Keep everything here instead of a temporary folder.")
    ] = None,
) -> None:
    """Run a throw-away service with simulated stations, and print lines to paste."""
    from api.cli.demo import dev as command

    raise typer.Exit(command.run(directory))


@app.command()
def simulate(
    url: Annotated[
        str | None,
        typer.Argument(help="An OCPP 2.1 server, such as wss://localhost:9443/ocpp; without one, a virtual clock."),
    ] = None,
    stations: Annotated[int, typer.Option(help="How many stations, one EVSE each.")] = 8,
    seed: Annotated[int, typer.Option(help="The same seed gives the same stations, grid and noise.")] = 1,
    faults: Annotated[Path | None, typer.Option(help="What goes wrong and when (TOML).")] = None,
    frequency: Annotated[
        Path | None, typer.Option(help="A frequency trace: FrequencySimulator JSON, or CSV with time and freq.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="Roots of the server (PEM).")] = None,
    credentials: Annotated[
        Path | None, typer.Option(help="Folder with a folder for each station: its certificate and keys.")
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with a password (HTTP Basic), for all.")] = None,
    for_s: Annotated[
        int | None, typer.Option("--for", min=1, max=604_800, help="Seconds; until a signal if left out (alone: 3600).")
    ] = None,
    report: Annotated[int, typer.Option(min=1, max=3600, help="Seconds between two readings of an EVSE.")] = 60,
    out: Annotated[Path | None, typer.Option(help="Alone: write the lines here; must not exist.")] = None,
    compress: Annotated[bool, typer.Option("--compress", help="Offer permessage-deflate.")] = False,
) -> None:
    """Run simulated charging stations: exit 0 at the end, 1 if none was let in, 2 when nothing was started."""
    from api.cli import simulate as command

    order = command.Order(
        url=url,
        stations=stations,
        seed=seed,
        faults=faults,
        trace=frequency,
        ca=ca,
        credentials=credentials,
        password_file=password_file,
        for_s=for_s,
        report_s=report,
        out=out,
        compress=compress,
    )
    raise typer.Exit(command.run(order))


@app.command("dev-request", hidden=False)
def dev_request(
    directory: Annotated[Path, typer.Argument(help="The folder that `flexledger dev` printed.")],
    reduce_w: Annotated[int, typer.Option(help="How much less the depot should draw.")] = 20_000,
    seconds: Annotated[int, typer.Option(help="For how long.")] = 30,
) -> None:
    """Ask the running development service for flexibility, and show what becomes of it."""
    from api.cli.demo import dev as command

    raise typer.Exit(command.request(directory, reduce_w=reduce_w, seconds=seconds))


@app.command()
def gateway(
    party: Annotated[Path, typer.Argument(help="The party's file (party.toml): service, trust and keys.")],
    socket: Annotated[Path | None, typer.Option(help="Unix socket; beside the party's file by default.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Listen on this port of the loopback interface instead.")
    ] = None,
    secret: Annotated[Path | None, typer.Option(help="File with the secret that the port demands.")] = None,
) -> None:
    """Sign, send and verify for one party: plain JSON comes in on a local socket, until SIGTERM or SIGINT."""
    from api.cli import gateway as command

    raise typer.Exit(command.run(party, at=socket, port=port, secret_file=secret))


@app.command()
def browse(
    party: Annotated[Path, typer.Argument(help="The reader's file (party.toml): service, trust and keys.")],
    policy: Annotated[Path | None, typer.Option(help="Whom to trust; by default what the party's file pins.")] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port of the loopback interface; any free one by default.")
    ] = 0,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the pages in a browser.")] = False,
    development: Annotated[bool, typer.Option(help="Credentials of a development hierarchy count.")] = False,
) -> None:
    """Read a log in a browser: pages of what this machine asked and verified, until SIGTERM or SIGINT."""
    from api.cli import browse as command

    raise typer.Exit(command.run(party, policy=policy, port=port, open_browser=open_browser, development=development))


@app.command()
def doctor(config: Config, json: Json = False) -> None:
    """Look for what would go wrong: file modes, clocks, credentials, revocation lists, SQLite, signer state."""
    from api.cli import doctor as command

    raise typer.Exit(command.run(config, json=json))


@app.command()
def rebuild(
    config: Config,
    check: Annotated[bool, typer.Option("--check", help="Only compare; the service may run.")] = False,
    json: Json = False,
) -> None:
    """Make the projections anew from the log: exit 0 done or nothing wrong, 1 a check found wrong rows, 2 not done."""
    from api.cli import rebuild as command

    raise typer.Exit(command.run(config, is_check=check, json=json))


@app.command()
def demo(
    out: Annotated[Path | None, typer.Option(help="Leave log, bundles, exports and report here.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the service's own files too, and say where.")] = False,
    tamper: Annotated[
        bool, typer.Option("--tamper", help="Instead of the day: edit one row of a real log, and see it named.")
    ] = False,
) -> None:
    """Play the demo day through a real service: real mTLS, real OCPP, real signatures, on a virtual clock."""
    if tamper:
        from api.cli.demo import tamper as act

        raise typer.Exit(act.run())
    from api.cli.demo import day as command

    raise typer.Exit(command.run(out, keep=keep))


@app.command()
def scenario(
    names: Annotated[list[str] | None, typer.Argument(help="Which; without a name they are listed.")] = None,
    json: Json = False,
) -> None:
    """Play applications that the standard's abstract names, each with a fleet of its own, through a real service."""
    from api.cli.scenarios import command

    raise typer.Exit(command.run(names or [], json=json))


@app.command()
def enroll(
    code: Annotated[str, typer.Argument(help="The one-time code.")],
    service: Annotated[str, typer.Option(help="The service, such as https://ledger.example:8443.")],
    ca: Annotated[Path, typer.Option(help="The root that you trust (PEM); it came by another way than the code.")],
    out: Annotated[Path, typer.Option(help="Where keys, certificates and party.toml are put.")],
    purpose: Annotated[
        list[str] | None, typer.Option(help="tls-client and signing if not given; may be given again.")
    ] = None,
    json: Json = False,
) -> None:
    """Fetch a party's first credentials with a code: exit 0 when they are there, 2 when one could not be had."""
    from api.cli import enroll as command

    raise typer.Exit(command.run(code, service=service, ca=ca, out=out, purposes=purpose or [], json=json))


@app.command()
def renew(
    party: Annotated[Path, typer.Argument(help="The party's file, such as credentials/party.toml.")],
    json: Json = False,
) -> None:
    """Fetch a party's next credentials with new keys, over its own connection: exit 0 party.toml names them, 2 not."""
    from api.cli import renew as command

    raise typer.Exit(command.run(party, json=json))


@config_app.command("schema")
def schema() -> None:
    """Print the JSON Schema of the settings file."""
    import json

    from api import settings

    typer.echo(json.dumps(settings.schema(), indent=2))
