"""The command `flexledger`: every subcommand, its options and nothing else."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli import export_options, party_options, pki_options, privacy_options

app = typer.Typer(
    name="flexledger",
    help="The credential and audit ledger of EV flexibility services.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(pki_options.app, name="pki")
app.add_typer(privacy_options.app, name="privacy")
app.add_typer(export_options.app, name="export")
app.add_typer(party_options.app)

witness_app = typer.Typer(
    help="A witness: cosigns other logs' checkpoints (c2sp.org/tlog-witness).", no_args_is_help=True
)
app.add_typer(witness_app, name="witness")
claim_app = typer.Typer(help="Conformity claims and installation links.", no_args_is_help=True)
app.add_typer(claim_app, name="claim")

timestamp_app = typer.Typer(help="Time stamps (RFC 3161) over a log's checkpoints.", no_args_is_help=True)
app.add_typer(timestamp_app, name="timestamp")

mirror_app = typer.Typer(help="A log as static files (c2sp.org/tlog-tiles).", no_args_is_help=True)
app.add_typer(mirror_app, name="mirror")

log_app = typer.Typer(help="A log's key and its end.", no_args_is_help=True)
app.add_typer(log_app, name="log")

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Policy = Annotated[Path | None, typer.Option("--policy", help="File with the log key and roots that you trust.")]
Folder = Annotated[Path, typer.Argument(help="A data directory.")]
Config = Annotated[Path, typer.Argument(help="The settings file (TOML).")]
DsnFile = Annotated[
    Path | None,
    typer.Option("--dsn-file", help="File, mode 0600, with the URI of the PostgreSQL server that holds the log."),
]
Schema = Annotated[str, typer.Option("--schema", help="The log's schema on that server.")]


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
        request=request or None,
        predecessor=predecessor,
        jobs=jobs,
    )
    raise typer.Exit(code)


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
    port: Annotated[int | None, typer.Option(help="Listen on this port of the loopback interface instead.")] = None,
    secret: Annotated[Path | None, typer.Option(help="File with the secret that the port demands.")] = None,
) -> None:
    """Sign, send and verify for one party: plain JSON comes in on a local socket, until SIGTERM or SIGINT."""
    from api.cli import gateway as command

    raise typer.Exit(command.run(party, at=socket, port=port, secret_file=secret))


@app.command()
def browse(
    party: Annotated[Path, typer.Argument(help="The reader's file (party.toml): service, trust and keys.")],
    policy: Annotated[Path | None, typer.Option(help="Whom to trust; by default what the party's file pins.")] = None,
    port: Annotated[int, typer.Option(help="Port of the loopback interface; any free one by default.")] = 0,
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


@witness_app.command("init")
def witness_init(
    directory: Annotated[Path, typer.Argument(help="Where to make the witness; must not exist or be empty.")],
    name: Annotated[str, typer.Option(help="Its name in cosignatures, such as witness.example/aurora.")],
    log: Annotated[
        list[str], typer.Option(help="Verifier key of a log to witness, or a file that holds it; once for each log.")
    ],
    host: Annotated[str, typer.Option(help="Address to bind.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to bind; 0 lets the system choose.")] = 8444,
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


Key = Annotated[Path, typer.Option("--key", help="Private key of who signs (PEM, mode 0600).")]
Certificate = Annotated[Path, typer.Option("--cert", help="Certificate of who signs (PEM).")]
Store = Annotated[Path, typer.Option("--store", help="Database of what was signed; made if it is not there.")]
Out = Annotated[Path, typer.Option("--out", help="Write the result here; must not exist.")]


@claim_app.command("issue")
def claim_issue(
    spec: Annotated[Path, typer.Argument(help="What is claimed of what (TOML).")],
    key: Key,
    cert: Certificate,
    store: Store,
    out: Out,
    json: Json = False,
) -> None:
    """Sign a conformity claim as a conformity body: exit 0 signed, 2 nothing was signed."""
    from api.cli import claim_issue as command

    raise typer.Exit(command.issue(spec, key=key, certificate=cert, store=store, out=out, json=json))


@claim_app.command("link")
def claim_link(
    spec: Annotated[Path, typer.Argument(help="Which thing is an instance of which type (TOML).")],
    key: Key,
    cert: Certificate,
    store: Store,
    out: Out,
    json: Json = False,
) -> None:
    """Sign an installation link as an operator or a witness: exit 0 signed, 2 nothing was signed."""
    from api.cli import claim_issue as command

    raise typer.Exit(command.link(spec, key=key, certificate=cert, store=store, out=out, json=json))


@claim_app.command("revoke")
def claim_revoke(
    document: Annotated[Path, typer.Argument(help="The claim or link.")],
    key: Key,
    cert: Certificate,
    store: Store,
    reason: Annotated[str, typer.Option(help="Why, in the words of RFC 5280.")] = "privilegeWithdrawn",
    json: Json = False,
) -> None:
    """Revoke a claim or a link of a conformity body, from now on; the next list says so."""
    from api.cli import claim_issue as command

    raise typer.Exit(command.revoke(document, reason=reason, key=key, certificate=cert, store=store, json=json))


@claim_app.command("crl")
def claim_crl(key: Key, cert: Certificate, store: Store, out: Out, json: Json = False) -> None:
    """Sign a conformity body's next revocation list."""
    from api.cli import claim_issue as command

    raise typer.Exit(command.crl(key=key, certificate=cert, store=store, out=out, json=json))


@claim_app.command("show")
def claim_show(document: Annotated[Path, typer.Argument(help="The claim or link.")], json: Json = False) -> None:
    """Say what a claim or a link says, believing nothing of it: exit 0 read, 2 not."""
    from api.cli import claim_show as command

    raise typer.Exit(command.run(document, json=json))


@claim_app.command("check")
def claim_check(
    documents: Annotated[list[Path], typer.Argument(help="Claims and links.")],
    root: Annotated[list[Path], typer.Option(help="Roots that you trust (PEM or DER).")],
    chain: Annotated[list[Path], typer.Option(help="Certificates of the signers and their authorities.")],
    crl: Annotated[list[Path], typer.Option(help="Revocation lists, or folders of them.")],
    service: Annotated[str, typer.Option(help="The service that is asked for, such as DROOP.")],
    region: Annotated[str, typer.Option(help="Where, such as FI.")],
    evse: Annotated[str, typer.Option(help="The EVSE: SHA-256 of its key in hex, or a file with its certificate.")],
    ev: Annotated[str | None, typer.Option(help="The EV, in the same way.")] = None,
    kind: Annotated[str, typer.Option(help="DC: the inverter is in the EVSE; AC: in the car.")] = "DC",
    evse_firmware: Annotated[str | None, typer.Option(help="SHA-256 of what the EVSE runs now.")] = None,
    ev_firmware: Annotated[str | None, typer.Option(help="SHA-256 of what the EV runs now.")] = None,
    charge_w: Annotated[int, typer.Option(min=0, help="Greatest charging power, W.")] = 0,
    discharge_w: Annotated[int, typer.Option(min=0, help="Greatest discharging power, W.")] = 0,
    response_ms: Annotated[int | None, typer.Option(min=0, help="Time to full response, ms.")] = None,
    operator: Annotated[str | None, typer.Option(help="The party that operates the site.")] = None,
    at_ms: Annotated[int | None, typer.Option(min=0, help="When, Unix ms; now if left out.")] = None,
    development: Annotated[bool, typer.Option("--development", help="Trust development roots.")] = False,
    json: Json = False,
) -> None:
    """Say whether claims and links cover a service: exit 0 covered, 1 not, 2 unusable, 3 indeterminate."""
    from api.cli import claim_check as command

    evidence = command.Evidence(roots=root, chains=chain, crls=crl, development=development)
    question = command.Question(
        kind=kind,
        service=service,
        region=region,
        evse=evse,
        ev=ev,
        evse_firmware=evse_firmware,
        ev_firmware=ev_firmware,
        charge_w=charge_w,
        discharge_w=discharge_w,
        response_ms=response_ms,
        operator=operator,
        at_ms=at_ms,
    )
    raise typer.Exit(command.run(documents, evidence=evidence, question=question, json=json))


@config_app.command("schema")
def schema() -> None:
    """Print the JSON Schema of the settings file."""
    import json

    from api import settings

    typer.echo(json.dumps(settings.schema(), indent=2))
