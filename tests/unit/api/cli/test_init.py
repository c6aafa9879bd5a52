"""Laying a service out: what is added later takes nothing away."""

from pathlib import Path

from cryptography import x509

from api.cli import init
from api.flows import office_lists
from pki import ceremony
from pki.ceremony import CeremonySpec, PartySpec
from pki.roles import Group, Role

NOW_MS = 1_782_864_000_000
SPEC = CeremonySpec(
    organisation="Northgate Charging",
    zone="northgate.example",
    parties=(PartySpec(id="FI-NGC", role=Role.CSO, organisation="Northgate Charging", dns_names=("localhost",)),),
    development=True,
)


def test_a_new_list_is_never_written_over_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "00003.pem").write_text("what is left after older lists were cleared away")
    lists = ceremony.perform(SPEC, tls_now_ms=NOW_MS, signing_now_ms=NOW_MS).crls_at(NOW_MS)
    office_lists.write(tmp_path, lists)
    assert (tmp_path / "00003.pem").read_text() == "what is left after older lists were cleared away"
    assert len(list(tmp_path.iterdir())) == len(lists) + 1


def test_whoever_the_office_may_invite_later_is_believed_from_the_start(tmp_path: Path) -> None:
    made = ceremony.perform(SPEC, tls_now_ms=NOW_MS, signing_now_ms=NOW_MS)
    init.lay_out(tmp_path / "svc", made, party="FI-NGC", origin="ledger.example/init")
    issuing = {one.certificate for one in made.hierarchy.issuing.values()}
    assert set(made.hierarchy.issuing) == set(Group)
    for file, others in (("issuers/issuers.pem", set()), ("client-ca.pem", {made.hierarchy.root.certificate})):
        written = x509.load_pem_x509_certificates((tmp_path / "svc" / "pki" / file).read_bytes())
        assert set(written) == issuing | others
