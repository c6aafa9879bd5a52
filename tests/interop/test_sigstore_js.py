"""npm @sigstore/verify, whose verifier reads Rekor's notes and trees, reads ours and refuses a changed one.

Needs node, and what `package-lock.json` beside this file pins, in the folder `sigstore_js` of the virtual environment;
continuous integration puts it there, and nothing is downloaded here.
"""

import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.tlog import checkpoint, hashing, merkle
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.note import NoteSigner

HERE = Path(__file__).parent / "sigstore_js"
INSTALLED = Path(sys.prefix) / "sigstore_js"
LOG = NoteSigner.generate("example.com/log")
OTHER = NoteSigner.generate("example.com/log")
ENTRIES = [b"entry %d" % number for number in range(300)]
LEAVES = [hashing.leaf(entry) for entry in ENTRIES]
SIGNED = checkpoint.sign(Checkpoint(LOG.name, 300, merkle.root(LEAVES)), [LOG]).decode()
CHANGED = checkpoint.sign(Checkpoint(LOG.name, 300, b"r" * 32), [LOG]).decode()


def asked(at: int, **changes: Any) -> dict[str, Any]:
    proof = merkle.inclusion_proof(at, 300, merkle.reader(LEAVES))
    spki = LOG.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "checkpoint": SIGNED,
        "spki": base64.b64encode(spki).decode(),
        "keyId": f"{LOG.verifier.key_id:08x}",
        "origin": LOG.name,
        "entry": base64.b64encode(ENTRIES[at]).decode(),
        "index": at,
        "hashes": [base64.b64encode(one).decode() for one in proof],
        **changes,
    }


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None or not (INSTALLED / "node_modules" / "@sigstore" / "verify").is_dir():
        pytest.skip("no node, or no @sigstore/verify in the virtual environment (see .ci/run)")
    return found


def answers(node: str, *questions: dict[str, Any]) -> list[str]:
    done = subprocess.run(
        [node, HERE / "check.cjs", INSTALLED],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_sigstore_js_accepts_every_kind_of_place_in_our_log(node: str) -> None:
    places = (0, 1, 2, 254, 255, 256, 257, 298, 299)
    assert answers(node, *map(asked, places)) == ["accepted 300"] * len(places)


def test_sigstore_js_refuses_what_was_changed(node: str) -> None:
    good = asked(7)
    spki = OTHER.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    found = answers(
        node,
        asked(7, entry=base64.b64encode(b"another").decode()),
        asked(7, index=8),
        asked(7, hashes=good["hashes"][:-1]),
        asked(7, checkpoint=CHANGED),
        asked(7, checkpoint=SIGNED.replace("\n300\n", "\n299\n")),
        asked(7, spki=base64.b64encode(spki).decode()),
        good,
    )
    assert [one.split()[0] for one in found] == ["refused"] * 6 + ["accepted"]
