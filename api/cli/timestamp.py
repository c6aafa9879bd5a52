"""`flexledger timestamp`: asks for and verifies time stamps over checkpoints, offline; any authority serves."""

import secrets
from pathlib import Path
from typing import Final

import msgspec

from api.cli import failures
from api.cli import verify as verify_command
from api.cli.files import read_file
from api.errors import ApiError
from api.verification import timestamps
from ledger.errors import LedgerError
from ledger.tlog import note
from pki import timestamp
from pki.asn1.timestamp import MAX_RESPONSE_BYTES
from pki.errors import PkiError

MAX_PEM_BYTES: Final = 1 << 20


def request(checkpoint: Path, out: Path) -> int:
    """Exit code 0 when the request is in the file, 2 when nothing was written."""
    try:
        digest = timestamps.imprint(read_file(checkpoint, note.MAX_NOTE_OCTETS))
        with out.open("xb") as file:
            file.write(timestamp.request(digest, secrets.randbelow((1 << timestamp.MAX_NONCE_BITS) - 1) + 1))
    except (ApiError, LedgerError, PkiError, OSError) as error:
        failures.say("nothing was written", error)
        return verify_command.UNUSABLE
    print(f"sha256 {digest.hex()}")
    return 0


def verify(checkpoint: Path, response: Path, *, tsa: Path, policy: Path | None, json: bool) -> int:
    """Exit code 0 verified, 1 refuted, 2 unusable."""
    try:
        report = timestamps.verify(
            read_file(checkpoint, note.MAX_NOTE_OCTETS),
            read_file(response, MAX_RESPONSE_BYTES),
            roots=timestamps.roots_of(read_file(tsa, MAX_PEM_BYTES)),
            policy=verify_command.read_policy(policy),
        )
    except (ApiError, LedgerError, PkiError) as error:
        verify_command.unusable(error, json=json)
        return verify_command.UNUSABLE
    if json:
        print(msgspec.json.encode(verify_command.shown(report)).decode())
    else:
        verify_command.show(report)
    return report.exit_code
