"""The claim commands: a body signs, an operator links, somebody checks; everything else is refused with its code."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from api.cli.main import app
from pki import ceremony, keys, regions
from pki.ceremony import CeremonySpec, PartySpec, StationSpec
from pki.clock import SystemClock
from pki.gridcode import Status
from pki.roles import Purpose, Role

pytestmark = pytest.mark.slow  # takes seconds

FIRMWARE = "ab" * 32
CLAIM = f"""
days = 180

[[things]]
kind = "EVSE"

[things.type]
manufacturer = "Maker"
model = "V2G-11"
firmware_sha256 = "{FIRMWARE}"

[[claims]]
standard = "EN 50549-10"
edition = "2022"
scheme = "TYPE_TEST"
cert_number = "LAB-1"
services = ["DROOP"]
functions = ["FREQUENCY_WATT"]
regions = ["FI"]
max_charge_w = 11000
max_discharge_w = 11000
response_ms = 1000
"""
LINK = f"""
days = 60

[thing]
kind = "EVSE"
certificate = "made/stations/E1/signing.crt.pem"

[thing.type]
manufacturer = "Maker"
model = "V2G-11"
firmware_sha256 = "{FIRMWARE}"
"""


class Desk:
    """A folder with a small hierarchy, and the command in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        now_ms = SystemClock().now_ms()
        spec = CeremonySpec(
            organisation="Flexledger",
            development=True,
            parties=(
                PartySpec(id="FI-LAB", role=Role.CB, organisation="Laboratory"),
                PartySpec(id="FI-NGC", role=Role.CSO, organisation="Northgate"),
            ),
            stations=(StationSpec(id="E1", operator="FI-NGC"),),
        )
        made = ceremony.perform(spec, tls_now_ms=now_ms, signing_now_ms=now_ms)
        ceremony.save(made, folder / "made", None)
        self.evse = keys.spki_sha256(made.stations["E1"].credentials[Purpose.SIGNING].key.public_key())
        (folder / "claim.toml").write_text(CLAIM, encoding="utf-8")
        (folder / "link.toml").write_text(LINK, encoding="utf-8")

    def run(self, *arguments: str, code: int = 0) -> Any:
        """What the command prints as JSON; it must exit so."""
        found = CliRunner().invoke(app, ["claim", *arguments, "--json"])
        assert found.exit_code == code, found.output
        return json.loads(found.output.splitlines()[-1])

    def by(self, party: str, purpose: str) -> list[str]:
        place = self.folder / "made" / "parties" / party
        return [
            "--key",
            str(place / f"{purpose}.key.pem"),
            "--cert",
            str(place / f"{purpose}.crt.pem"),
            "--store",
            str(self.folder / f"{party}.db"),
        ]

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def issue(self, out: str = "claim.der") -> Any:
        return self.run("issue", self.path("claim.toml"), *self.by("FI-LAB", "attribute"), "--out", self.path(out))

    def link(self, party: str = "FI-NGC", purpose: str = "signing", out: str = "link.der") -> Any:
        return self.run("link", self.path("link.toml"), *self.by(party, purpose), "--out", self.path(out))

    def check(self, *documents: str, code: int = 0, **changes: str) -> Any:
        asked = {
            "root": self.path("made/root.crt.pem"),
            "crl": self.path("made/crl"),
            "service": "DROOP",
            "region": "FI",
            "evse": self.evse,
            "evse-firmware": FIRMWARE,
            "charge-w": "11000",
            "discharge-w": "11000",
            "response-ms": "1000",
            "operator": "FI-NGC",
            **changes,
        }
        options = [part for name, value in asked.items() for part in (f"--{name}", value)]
        for chain in ("parties/FI-LAB/attribute", "parties/FI-NGC/signing"):
            options += ["--chain", self.path(f"made/{chain}.crt.pem")]
        return self.run("check", *(self.path(one) for one in documents), *options, "--development", code=code)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_type_claim_and_an_operators_link_cover_together(desk: Desk) -> None:
    desk.issue()
    assert desk.check("claim.der", code=1)["reason"] == "no-link"
    desk.link()
    answer = desk.check("claim.der", "link.der")
    assert (answer["outcome"], len(answer["documents"])) == ("COVERED", 2)
    assert desk.check("claim.der", "link.der", code=1, operator="FI-VOL")["reason"] == "no-link"
    assert desk.check("claim.der", "link.der", code=1, **{"discharge-w": "11001"})["reason"] == "power"
    assert desk.check("claim.der", "link.der", code=1, region="DE")["reason"] == "region"
    assert desk.check("claim.der", "link.der", code=1, region="SE")["reason"] == "region-unknown"
    assert (
        desk.check("claim.der", "link.der", evse=desk.path("made/stations/E1/signing.crt.pem"))["outcome"] == "COVERED"
    )
    assert desk.check("claim.der", "link.der", evse=desk.path("none.pem"), code=2)["code"] == "api/bundle-unusable"
    assert desk.check("claim.der", "link.der", code=1, **{"evse-firmware": "cd" * 32})["reason"] == "firmware"


def test_a_region_that_was_not_read_to_the_end_makes_the_answer_indeterminate(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.issue()
    desk.link()
    finland = regions.grid_codes()["FI"]
    guess = replace(finland.claims, status=Status.UNCERTAIN, settled_by="the text")
    monkeypatch.setattr(regions, "grid_codes", lambda: {"FI": replace(finland, claims=guess)})
    answer = desk.check("claim.der", "link.der", code=3)
    assert (answer["outcome"], answer["reason"]) == ("INDETERMINATE", "region-uncertain")
    assert desk.check("claim.der", code=1)["reason"] == "no-link"


def test_what_is_shown_is_what_was_written(desk: Desk) -> None:
    desk.issue()
    desk.link()
    claim, link = (desk.run("show", desk.path(name)) for name in ("claim.der", "link.der"))
    assert (claim["kind"], claim["holder"], claim["revocable"]) == ("claim", "TYPE", True)
    assert claim["claims"][0]["functions"] == ["FREQUENCY_WATT"]
    assert claim["things"][0]["type"]["model"] == "V2G-11"
    assert (link["kind"], link["holder"], link["revocable"]) == ("link", "KEY", False)
    assert link["thing"]["key_sha256"] == desk.evse
    told = CliRunner().invoke(app, ["claim", "show", desk.path("claim.der")]).output
    assert "standard EN 50549-10" in told
    assert told.endswith("not verified: flexledger claim check does that\n")


@pytest.mark.parametrize(
    "data", [b"", b"\x30" * 40_000, b"\x30\x80", b"\x1b[31mred", b"-----BEGIN X-----\nAAAA\n-----END X-----"]
)
def test_a_hostile_file_is_refused_and_not_repeated(desk: Desk, data: bytes) -> None:
    (desk.folder / "hostile.der").write_bytes(data)
    found = desk.run("show", desk.path("hostile.der"), code=2)
    assert found["code"].startswith(("pki/", "api/"))
    assert "\x1b" not in json.dumps(found)


def test_a_revoked_claim_no_longer_covers(desk: Desk) -> None:
    desk.issue()
    desk.link()
    first = desk.run("revoke", desk.path("claim.der"), *desk.by("FI-LAB", "attribute"))
    again = desk.run("revoke", desk.path("claim.der"), *desk.by("FI-LAB", "attribute"), "--reason", "aACompromise")
    assert first == again
    # A list of the same second as the ceremony's has a higher number, and that one counts.
    desk.run("crl", *desk.by("FI-LAB", "attribute"), "--out", desk.path("made/crl/new.crl"))
    answer = desk.check("claim.der", "link.der", code=1, **{"at-ms": str(SystemClock().now_ms() + 1_000)})
    assert answer["refused"] == ["pki/revoked"]


def test_without_the_lists_nothing_is_covered_and_nothing_is_refuted(desk: Desk) -> None:
    desk.issue()
    desk.link()
    for file in (desk.folder / "made" / "crl").iterdir():
        file.unlink()
    (desk.folder / "made" / "crl" / "none.crl").write_bytes(b"")
    assert desk.check("claim.der", "link.der", code=2)["code"] == "pki/crl-malformed"


def test_nobody_signs_what_is_not_theirs_to_sign(desk: Desk) -> None:
    spec, out = desk.path("claim.toml"), ["--out", desk.path("x.der")]
    refused = desk.run("issue", spec, *desk.by("FI-NGC", "signing"), *out, code=2)
    assert refused["code"] == "pki/claim-refused"
    mixed = [*desk.by("FI-LAB", "attribute")[:2], *desk.by("FI-NGC", "signing")[2:], *out]
    assert desk.run("issue", spec, *mixed, code=2)["code"] == "pki/claim-refused"
    assert desk.run("revoke", desk.path("claim.toml"), *desk.by("FI-LAB", "attribute"), code=2)["code"].startswith(
        "pki/"
    )
    assert not (desk.folder / "x.der").exists()


def test_a_key_that_others_can_read_is_refused(desk: Desk) -> None:
    (desk.folder / "made/parties/FI-LAB/attribute.key.pem").chmod(0o644)
    arguments = [desk.path("claim.toml"), *desk.by("FI-LAB", "attribute"), "--out", desk.path("x.der")]
    assert desk.run("issue", *arguments, code=2)["code"] == "pki/key-file-mode"


def test_a_file_is_never_written_over(desk: Desk) -> None:
    desk.issue()
    arguments = [desk.path("claim.toml"), *desk.by("FI-LAB", "attribute"), "--out", desk.path("claim.der")]
    assert desk.run("issue", *arguments, code=2)["code"] == "api/claim-file"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('kind = "EVSE"', 'kind = "TOASTER"'),
        ('scheme = "TYPE_TEST"', 'scheme = "PROMISE"'),
        ("days = 180", "days = 400"),
        ("days = 180", "day = 180"),
        ('regions = ["FI"]', 'regions = ["Finland"]'),
        ("max_charge_w = 11000", "max_charge_w = 1.5"),
        ("[[claims]]", "[[claims"),
        ('manufacturer = "Maker"', 'manufacturer = "Ma\\u202eker"'),
    ],
)
def test_a_description_that_says_something_else_is_refused(desk: Desk, old: str, new: str) -> None:
    (desk.folder / "claim.toml").write_text(CLAIM.replace(old, new), encoding="utf-8")
    arguments = [desk.path("claim.toml"), *desk.by("FI-LAB", "attribute"), "--out", desk.path("x.der")]
    assert desk.run("issue", *arguments, code=2)["code"] in ("api/claim-file", "pki/lint-failed", "pki/malformed-der")
    assert not (desk.folder / "x.der").exists()


def test_a_link_needs_a_thing_and_its_type(desk: Desk) -> None:
    (desk.folder / "link.toml").write_text(LINK.partition("[thing.type]")[0], encoding="utf-8")
    arguments = [desk.path("link.toml"), *desk.by("FI-NGC", "signing"), "--out", desk.path("x.der")]
    assert desk.run("link", *arguments, code=2)["code"] == "api/claim-file"
