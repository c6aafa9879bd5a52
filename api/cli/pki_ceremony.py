"""`flexledger pki ceremony`: a hierarchy and the first credentials, from one reviewed file."""

import os
from pathlib import Path

from api.cli.init import TargetTaken
from api.cli.pki_offline import DONE, answered, say
from api.issuing import read_password
from ledger.clock import SystemClock
from pki import ceremony


def run(file: Path, out: Path, *, password_file: Path | None, json: bool) -> int:
    """Exit code 0 when everything is in `out`, 2 when nothing was made."""
    return answered(lambda: _perform(file, out, password_file, json))


def _perform(file: Path, out: Path, password_file: Path | None, json: bool) -> int:
    spec = ceremony.parse_spec(file.read_bytes())
    if out.exists() and any(out.iterdir()):
        raise TargetTaken("there is something already, and keys are never written over", file=out.name)
    now_ms = SystemClock().now_ms()
    made = ceremony.perform(spec, tls_now_ms=now_ms, signing_now_ms=now_ms)
    os.umask(0o077)
    out.mkdir(parents=True, exist_ok=True)
    ceremony.save(made, out, read_password(password_file))
    document = {
        "root_sha256": made.hierarchy.root.key_sha256,
        "authorities": sorted(group.value for group in made.hierarchy.issuing),
        "parties": sorted(made.parties),
        "stations": sorted(made.stations),
    }
    text = (
        f"made {out}: {len(made.parties)} parties, {len(made.stations)} stations under root key\n"
        f"  {made.hierarchy.root.key_sha256}\n"
        "  lock root/ away; authorities/ goes to the machine that issues; hand the rest out"
    )
    say(document, text, json=json)
    return DONE
