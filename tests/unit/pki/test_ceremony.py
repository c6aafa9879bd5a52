"""One reviewed file gives the whole hierarchy, for two times."""

import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from msgspec.structs import replace

import devcerts.__main__ as devcerts_command
from pki import ceremony, keys, names
from pki.ceremony import BadSpec, CeremonySpec, PartySpec, StationSpec
from pki.roles import Purpose, Role
from pki.trust import is_marked

TOML = b"""
organisation = "Test"
development = true
[[parties]]
id = "FI-NGC"
role = "CSO"
organisation = "Northgate"
services = ["DROOP"]
[[stations]]
id = "E1"
operator = "FI-NGC"
"""


def test_a_spec_is_read_from_toml() -> None:
    spec = ceremony.parse_spec(TOML)
    assert spec.parties[0].role is Role.CSO
    assert spec.stations == (StationSpec(id="E1", operator="FI-NGC"),)
    assert spec.zone == names.DEFAULT_ZONE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"organisation = 1",
        b'organisation = "T"\nsurprise = true',
        TOML.replace(b'"CSO"', b'"KING"'),
        TOML.replace(b'"DROOP"', b'"DANCE"'),
        TOML.replace(b'operator = "FI-NGC"', b'operator = "FI-OTH"'),
        TOML.replace(b'id = "E1"', b'id = "FI-NGC"'),
        TOML.replace(b'organisation = "Northgate"', b""),
        b"\xff",
        b"#" * (ceremony.MAX_SPEC_BYTES + 1),
    ],
)
def test_a_spec_that_is_wrong_is_refused(data: bytes) -> None:
    with pytest.raises(BadSpec):
        ceremony.parse_spec(data)


def test_numbers_and_kinds_of_parties_are_limited() -> None:
    def of(count: int) -> CeremonySpec:
        parties = tuple(PartySpec(id=f"P{n}", role=Role.FO, organisation="O") for n in range(count))
        return CeremonySpec(organisation="T", parties=parties)

    ceremony.require_consistent(of(ceremony.MAX_PARTIES))
    with pytest.raises(BadSpec):
        ceremony.require_consistent(of(ceremony.MAX_PARTIES + 1))
    cso = PartySpec(id="C", role=Role.CSO, organisation="O")
    stations = tuple(StationSpec(id=f"S{n}", operator="C") for n in range(ceremony.MAX_STATIONS + 1))
    ceremony.require_consistent(CeremonySpec(organisation="T", parties=(cso,), stations=stations[1:]))
    for wrong in (
        CeremonySpec(organisation="T", parties=(cso,), stations=stations),
        CeremonySpec(organisation="T", parties=(replace(cso, role=Role.STATION),)),
        CeremonySpec(organisation="T", parties=(replace(cso, role=Role.EVU),)),
    ):
        with pytest.raises(BadSpec):
            ceremony.require_consistent(wrong)


def test_everybody_gets_what_the_role_has(world: Any) -> None:
    got = {minted.role: set(minted.credentials) for minted in world.made.parties.values()}
    client, signing = Purpose.TLS_CLIENT, Purpose.SIGNING
    assert got == {
        Role.FO: {client, signing},
        Role.CSO: {client, Purpose.TLS_SERVER, signing},
        Role.CSP: {client, signing},
        Role.EVU: {client, signing},
        Role.SO: {signing},
        Role.CB: {client, signing, Purpose.ATTRIBUTE},
        Role.AUD: {client, signing},
        Role.DPO: {client, signing},
        Role.OPS: {client, signing},
    }
    assert set(world.made.stations["E1"].credentials) == {client, signing}


def test_all_keys_differ(world: Any) -> None:
    everyone = [*world.made.parties.values(), *world.made.stations.values()]
    found = [issued.certificate for minted in everyone for issued in minted.credentials.values()]
    assert len({keys.spki_sha256(keys.require_leaf_key(one.public_key())) for one in found}) == len(found)
    assert all(is_marked(certificate) for certificate in found)


def test_an_evu_is_a_fresh_pseudonym_in_every_ceremony(world: Any, own_world: Any) -> None:
    first, second = (item.made.parties["evu-1"].party_id for item in (world, own_world))
    assert first != second
    assert names.party_id(first, Role.EVU) == first


def test_what_is_saved_is_complete_and_closed(own_world: Any, tmp_path: Path) -> None:
    ceremony.save(own_world.made, tmp_path / "out", None)
    found = sorted((tmp_path / "out").rglob("*.key.pem"))
    assert len(found) == 8 + 19 + 2  # authorities, parties, the station
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in found)
    chain = x509.load_pem_x509_certificates((tmp_path / "out/parties/FI-NGC/tls_server.crt.pem").read_bytes())
    assert len(chain) == 2
    assert len(list((tmp_path / "out/crl").iterdir())) == len(own_world.made.crls) == 2 * 9


def test_the_development_hierarchy_is_minted_by_its_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert devcerts_command.main(["--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "parties" / "FI-AUR" / "signing.key.pem").is_file()
    assert is_marked(x509.load_pem_x509_certificate((tmp_path / "out" / "root.crt.pem").read_bytes()))
    assert devcerts_command.main(["--out", str(tmp_path / "out")]) == 1
    assert "pki/ceremony-replayed" in capsys.readouterr().err
