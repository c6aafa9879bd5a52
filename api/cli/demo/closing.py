"""The end of the day: everything is verified offline, one person is erased, two exports are made, all is left."""

import asyncio
import base64
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from api import wire
from api.cli import audit as audits
from api.cli.demo import cast, office, restored
from api.cli.demo.report import Report
from api.cli.demo.story import Play
from api.client.http import Request
from api.engines import pem_blocks
from api.errors import ApiError
from api.verification import bundle as bundles
from api.verification import page
from api.verification.bundle_format import sha256
from api.verification.bundle_policy import Policy, encode_policy, policy_of
from api.verification.report import Exit, Status
from ledger.errors import LedgerError
from ledger.privacy.export_verify import verify_export
from ledger.records.privacy import ErasureBasis, Profile
from ledger.tlog import checkpoint, note, tiles
from pki.roles import Purpose

REQUESTS: Final = (
    "fsr-a-congestion",
    "fsr-b-mandatory",
    "fsr-c-ffr",
    "fsr-d-droop",
    "fsr-e-ffr-weak",
)
ERASED: Final = cast.BAYS[5]
"""E6's user, who opted out of FSR-A and was under the cap of FSR-B."""

KEPT: Final = cast.BAYS[4]
"""E5's user, of whom nobody asked anything."""


async def run(play: Play, report: Report, out: Path) -> None:
    """Verification before and after the erasure; then everything is written to `out` and audited as a whole."""
    report.scene("audit", "the auditor downloads one bundle a request and verifies them offline")
    before = await download(play)
    policy = policy_of(bundles.open_bundle(before[REQUESTS[0]]))
    for fsr_id, data in before.items():
        found = bundles.verify(bundles.open_bundle(data), anchors=policy)
        report.expect(f"bundle of {fsr_id}", found.outcome is Exit.VERIFIED, counts(found.lines), "verified")
    tampered(before, policy, report)
    restored.back_up(play.stage.folder)
    report.scene("erasure", "the vault was backed up; then E6's user asks to be erased")
    await erase(play, report)
    after = await download(play)
    pages: dict[str, str] = {}
    policy_digest = sha256(encode_policy(policy))
    for fsr_id, data in after.items():
        verification = bundles.Verification(bundles.open_bundle(data), policy)
        found = verification.run()
        pages[fsr_id] = page.render(verification, found, digest=sha256(data), policy_digest=policy_digest)
        held = found.outcome is Exit.VERIFIED
        touched = any(line.status is Status.ERASED for line in found.lines)
        if touched or not held:
            report.expect(f"{fsr_id} after the erasure", held and touched, counts(found.lines), "privacy")
    report.scene("exports", "settlement (provable) and research (unlinkable)")
    exported = await exports(play, report)
    await leave(play, out, after, exported, policy)
    (out / "reports").mkdir()
    for fsr_id, text in pages.items():
        (out / "reports" / f"{fsr_id}.html").write_text(text)
    report.scene("the log", "static tiles, verified as a stranger would: by a process that sees these files only")
    await whole_log(out, report)
    report.scene("the backup", "the vault of before the erasure is put back, and the service started over it")
    await restored.put_back(play, report, play.stage.party_id(ERASED.person), play.stage.party_id(KEPT.person))
    report.facts["requests"] = list(REQUESTS)
    (out / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report.document())))


async def download(play: Play) -> dict[str, bytes]:
    """One bundle a request, as the auditor gets it."""
    auditor = play.stage.clients[cast.AUD]
    return {fsr_id: await auditor.get_bytes(f"/v1/requests/{fsr_id}/record") for fsr_id in REQUESTS}


def counts(lines: Iterable[object]) -> str:
    """How many lines of which status."""
    found: dict[str, int] = {}
    for line in lines:
        status = str(getattr(line, "status", ""))
        found[status] = found.get(status, 0) + 1
    return ", ".join(f"{number} {status}" for status, number in sorted(found.items()))


def tampered(before: dict[str, bytes], policy: Policy, report: Report) -> None:
    """A bundle that was changed says what was changed, and where."""
    data = before["fsr-a-congestion"]
    tree = msgspec.json.decode(data)
    changed = data.replace(b'"score_ppm":925000', b'"score_ppm":999000')
    if changed == data:
        # The record is inside a signed statement: change a letter of that instead.
        middle = len(data) // 2
        changed = data[:middle] + (b"A" if data[middle : middle + 1] != b"A" else b"B") + data[middle + 1 :]
    attempts = {
        "a letter of the bundle changed": changed,
        "an entry taken out": encode({**tree, "entries": without(tree, "opt.decided")}),
        "a revocation list withheld": encode({**tree, "status": without_list(tree["status"])}),
        "the proof of work of another request": encode({**tree, "entries": swapped(tree, before["fsr-c-ffr"])}),
    }
    for what, forged in attempts.items():
        outcome, words = judged(forged, policy)
        report.expect(what, outcome is not Exit.VERIFIED, f"{outcome}: {words}"[:110], "attack")


def encode(tree: object) -> bytes:
    """A forger knows the canonical form too."""
    return msgspec.json.encode(tree, order="sorted")


def without(tree: dict[str, list[dict[str, object]]], kind: str) -> list[dict[str, object]]:
    """The entries, with the first of that type gone."""
    first = next(one for one in tree["entries"] if isinstance(e := one["entry"], dict) and e["type"] == kind)
    return [one for one in tree["entries"] if one is not first]


def without_list(lists: list[str]) -> list[str]:
    """The revocation lists without that of one authority, always the same: they stand in an order that keys decide."""

    def issuer(listed: str) -> str:
        return x509.load_der_x509_crl(base64.b64decode(listed)).issuer.rfc4514_string()

    first = min(map(issuer, lists))
    return [one for one in lists if issuer(one) != first]


def swapped(tree: dict[str, list[dict[str, object]]], other: bytes) -> list[dict[str, object]]:
    """FSR-A's entries, with FSR-C's proof of work where its own stood."""

    def proof(entries: list[dict[str, object]]) -> dict[str, object]:
        return next(one for one in entries if isinstance(e := one["entry"], dict) and e["type"] == "work.proven")

    foreign = proof(msgspec.json.decode(other)["entries"])
    own = proof(tree["entries"])
    return [{**one, "entry": foreign["entry"]} if one is own else one for one in tree["entries"]]


def judged(data: bytes, policy: Policy) -> tuple[Exit, str]:
    """The outcome, and the first thing that is wrong."""
    try:
        found = bundles.verify(bundles.open_bundle(data), anchors=policy)
    except (ApiError, LedgerError) as error:
        return Exit.UNUSABLE, f"{error.code} {error.message()}"
    wrong = [line for line in found.lines if line.status in (Status.REFUTED, Status.INDETERMINATE)]
    return found.outcome, f"{wrong[0].code} {wrong[0].place}" if wrong else ""


async def erase(play: Play, report: Report) -> None:
    """Nothing of the person is left in any file of the service."""
    person = play.stage.party_id(ERASED.person)
    body = {"subject": person, "basis": ErasureBasis.CONSENT_WITHDRAWN.value}
    done = await play.ask(cast.DPO, "/v1/subjects/erasure", body)
    report.expect("the tombstone names nobody", person not in str(done), f"entry {done['index']}", "privacy")
    service = play.stage.folder / "service"
    files = [path for place in ("data", "vault") for path in (service / place).rglob("*") if path.is_file()]
    files.append(play.stage.folder / "server.log")
    needle = person.encode()
    found = [path.name for path in files if needle in path.read_bytes()]
    report.expect(f"the pseudonym in {len(files)} files of the service", not found, found or "nowhere", "privacy")


async def exports(play: Play, report: Report) -> dict[str, bytes]:
    """Two exports by the privacy officer; each verifies offline against the service's key and the log's."""
    made = {}
    key = play.stage.made.parties[cast.CSO].credentials[Purpose.SIGNING].key.public_key()
    for profile, recipient in ((Profile.SETTLEMENT, cast.FO), (Profile.RESEARCH, "regulator")):
        client = play.stage.clients[cast.DPO]
        body = msgspec.json.encode({"profile": profile.value, "recipient": recipient})
        answer = await client.transport.request(
            Request("POST", "/v1/exports", body, {"content-type": wire.JSON_MEDIA_TYPE})
        )
        name = f"{profile.value.lower()}.tar"
        made[name] = answer.body
        path = play.stage.folder / name
        path.write_bytes(answer.body)
        opened = verify_export(
            path, signer_key=key, vkeys=[note.parse_vkey(play.stage.server.vkey)], origin=cast.ORIGIN
        )
        report.expect(
            f"{profile.value.lower()} export for {recipient}",
            len(opened.rows) > 0,
            f"{len(opened.rows)} rows",
            "privacy",
        )
    return made


async def leave(play: Play, out: Path, after: dict[str, bytes], exported: dict[str, bytes], policy: Policy) -> None:
    """Everything that others' tools can be pointed at; no key among it."""
    for folder in ("log", "bundles", "exports", "ca"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for fsr_id, data in after.items():
        (out / "bundles" / f"{fsr_id}.json").write_bytes(data)
    for name, data in exported.items():
        (out / "exports" / name).write_bytes(data)
    (out / "policy.json").write_bytes(encode_policy(policy))
    leave_certificates(play, out / "ca")
    await mirror(play, out / "log")


def leave_certificates(play: Play, folder: Path) -> None:
    """Roots, authorities, signing certificates of organisations and stations, revocation lists; no person's."""
    service = play.stage.folder / "service" / "pki"
    (folder / "root.pem").write_bytes((service / "root.pem").read_bytes())
    (folder / "issuers.pem").write_bytes((service / "issuers" / "issuers.pem").read_bytes())
    holders = [one for one in play.stage.made.parties.values() if not one.id.startswith("EVU-")]
    signing = [
        issued.certificate.public_bytes(Encoding.PEM)
        for holder in (*holders, *play.stage.made.stations.values())
        for purpose, issued in holder.credentials.items()
        if purpose in (Purpose.SIGNING, Purpose.ATTRIBUTE)
    ]
    enrolled = pem_blocks((play.stage.folder / office.FOLDER / "signing.crt.pem").read_bytes())[0]
    signing.append(x509.load_der_x509_certificate(enrolled).public_bytes(Encoding.PEM))
    (folder / "signers.pem").write_bytes(b"".join(signing))
    for path in sorted((service / "crl").glob("*.pem")):
        (folder / f"crl-{path.name}").write_bytes(path.read_bytes())


async def mirror(play: Play, folder: Path) -> None:
    """The log as a static tlog-tiles directory, fetched over the public resources."""
    client = play.stage.clients[cast.AUD]
    signed = await client.get_bytes("/checkpoint")
    size = checkpoint.parse(note.parse(signed).text).size
    for tile in [*tiles.tiles_for(size), *tiles.bundles_for(size)]:
        path = folder / tile.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(await client.get_bytes(f"/{tile.path}"))
    (folder / "vkey").write_text(play.stage.server.vkey + "\n", "ascii")
    (folder / "checkpoint").write_bytes(signed)


async def whole_log(out: Path, report: Report) -> None:
    """`flexledger audit` and `flexledger verify` as processes of their own; then one changed byte in a tile."""
    code, text = await command("audit", str(out))
    report.expect("flexledger audit of everything that was left", code == 0, text, "verified")
    code, text = await command(
        "verify", str(out / "bundles" / "fsr-d-droop.json"), "--policy", str(out / "policy.json")
    )
    report.expect("flexledger verify of one bundle", code == 0, text, "verified")
    victim = next((out / "log" / "tile" / "entries").rglob("*.p/*"), None)
    victim = victim or next(path for path in (out / "log" / "tile" / "entries").rglob("*") if path.is_file())
    data = victim.read_bytes()
    middle = len(data) // 2
    victim.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    try:
        found = await asyncio.to_thread(audits.audit, out, None)
    finally:
        victim.write_bytes(data)
    wrong = [line for line in found.lines if line.status is Status.REFUTED]
    exact = [line for line in wrong if "index" in line.where] or wrong
    named = f"{exact[0].code} {exact[0].place}" if exact else "not found"
    report.expect("one bit of a tile changed", bool(wrong), named[:110], "attack")


async def command(*words: str) -> tuple[int, str]:
    """Exit code and last line of a command that sees nothing but its arguments."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "api", *words], capture_output=True, text=True, check=False, timeout=300
    )
    lines = [line for line in (done.stdout or done.stderr).splitlines() if line.strip()]
    return done.returncode, lines[-1] if lines else ""
