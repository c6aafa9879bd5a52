"""`flexledger witness`: makes a witness, and runs it until a signal says stop."""

import os
import re
from pathlib import Path
from typing import Final

import typer

from api.cli import failures, ready
from api.cli.witness_settings import CONFIG, WitnessSettings, load
from api.errors import ApiError, Refused
from api.key_files import KeyFileExposed
from ledger import plain_file
from ledger.clock import SystemClock
from ledger.errors import LedgerError
from ledger.tlog import note
from ledger.tlog.errors import KeyMalformed
from ledger.tlog.notekeys import Cosigner, KeyKind

KEY_FILE: Final = "witness.key"
MEMORY_FILE: Final = "witness.db"
VKEY_FILE: Final = "vkey"
MAX_VKEY_FILE_CHARACTERS: Final = 65_536


class WitnessTargetTaken(Refused):
    """There is something already where a witness should be made; its key and its memory are never written over."""

    code = "api/witness-target-taken"
    title = "Directory is not empty"


def make(directory: Path, *, name: str, logs: list[str], host: str, port: int) -> int:
    """Exit code 0 when the witness was made, 2 when nothing was."""
    try:
        lay_out(directory, name=name, logs=logs, host=host, port=port)
    except (ApiError, LedgerError, OSError) as error:
        typer.echo(f"nothing was made: {failures.told(error)}", err=True)
        return 2
    typer.echo(f"made {directory}")
    typer.echo(f"  give this verifier key to the logs: {(directory / VKEY_FILE).read_text('utf-8').strip()}")
    typer.echo(f"  next: flexledger witness run {directory / CONFIG}")
    return 0


def lay_out(directory: Path, *, name: str, logs: list[str], host: str = "127.0.0.1", port: int = 8444) -> Path:
    """Writes key, verifier key, empty memory and settings of a new witness; returns the settings file.

    Raises WitnessTargetTaken, or KeyMalformed for a name or a log's verifier key that is none.
    """
    from ledger.witness.memory import WitnessMemory

    if directory.exists() and any(directory.iterdir()):
        raise WitnessTargetTaken("the directory is not empty", found=directory.name)
    wanted = [vkeys_of(text) for text in logs]
    for vkey in (vkey for vkeys in wanted for vkey in vkeys):
        if note.parse_vkey(vkey).kind is not KeyKind.ED25519:
            raise KeyMalformed("not a log's verifier key", expected="type 0x01")
    if re.search(r'["\\]', name):
        raise KeyMalformed("no witness may have this name", expected="no quote or backslash")
    cosigner = Cosigner.generate(name, SystemClock())
    os.umask(0o077)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / KEY_FILE).touch(mode=0o600)
    (directory / KEY_FILE).write_text(cosigner.dump() + "\n", "utf-8")
    (directory / VKEY_FILE).write_text(cosigner.vkey + "\n", "utf-8")
    WitnessMemory.open(directory / MEMORY_FILE, create=True).close()
    listed = "".join("\n[[logs]]\nvkeys = [{}]\n".format(", ".join(f'"{one}"' for one in vkeys)) for vkeys in wanted)
    config = directory / CONFIG
    config.write_text(
        "# A witness (c2sp.org/tlog-witness); paths are relative to this file.\n"
        "# Never restore the memory from an older copy: a witness that forgot would cosign a second history.\n"
        f'key = "{KEY_FILE}"\nmemory = "{MEMORY_FILE}"\nhost = "{host}"\nport = {port}\n{listed}',
        "utf-8",
    )
    return config


def vkeys_of(text: str) -> list[str]:
    """The verifier keys of one log: the text itself, or one a line in the file that it names."""
    path = Path(text)
    if "+" in text or not path.is_file():
        return [text]
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.strip() for line in file.read(MAX_VKEY_FILE_CHARACTERS).splitlines() if line.strip()]


def run(config: Path, *, ready_file: Path | None) -> int:
    """Exit code 0 after a signal, 2 if the witness cannot start."""
    from api import telemetry
    from api.web import server

    try:
        settings = load(config)
        telemetry.configure()
        server.run(_serve(settings, ready_file))
    except (ApiError, LedgerError, OSError) as error:
        typer.echo(f"cannot start: {failures.told(error)}", err=True)
        return 2
    return 0


def forks(config: Path, *, out: Path | None) -> int:
    """Exit code 0 if no log of this witness was caught with two histories, 1 if one was, 2 if nothing can be read."""
    from api.verification import evidence_file
    from ledger.witness.memory import WitnessMemory

    try:
        settings = load(config)
        memory = WitnessMemory.open(settings.memory)
        try:
            found = memory.forks()
        finally:
            memory.close()
        for number, fork in enumerate(found, start=1):
            typer.echo(f"{fork.origin}: two roots for one size")
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
                vkeys = [key.vkey for log in settings.logs for key in log.verifiers() if key.name == fork.origin]
                evidence = evidence_file.encode(fork.cosigned, fork.refused, origin=fork.origin, vkeys=vkeys)
                (out / f"{number:04d}.evidence.json").write_bytes(evidence)
    except (ApiError, LedgerError, OSError) as error:
        typer.echo(f"unusable: {failures.told(error)}", err=True)
        return 2
    typer.echo(f"{len(found)} forks")
    return 1 if found else 0


async def _serve(settings: WitnessSettings, ready_file: Path | None) -> None:
    from api.web import server
    from api.web.witness import witness_app
    from ledger.witness.cosign import Witness
    from ledger.witness.memory import WitnessMemory

    cosigner = _cosigner(settings.key)
    logs = {keys[0].name: keys for keys in (log.verifiers() for log in settings.logs)}
    memory = WitnessMemory.open(settings.memory)
    try:
        witness = Witness([cosigner], logs, memory, on_fork=memory.keep_fork)

        def started(host: str, port: int) -> None:
            where = {"host": host, "port": port, "vkey": cosigner.vkey, "logs": sorted(logs)}
            ready.tell(where, ready_file)

        await server.serve_plain(
            witness_app(witness, prefix=settings.prefix),
            host=settings.host,
            port=settings.port,
            certificate=settings.certificate,
            key=settings.certificate_key,
            on_started=started,
        )
    finally:
        memory.close()


def _cosigner(path: Path) -> Cosigner:
    if path.stat().st_mode & 0o077:
        raise KeyFileExposed("others can read the key file", expected="mode 0600", file=path.name)
    return Cosigner.load(plain_file.read(path).decode("utf-8").strip(), SystemClock())
