"""A ceremony is told by its transcript, signed by its root, and done once; later ones add to what is there."""

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from pki import ceremony, keyplace, keys, succession, transcript
from pki.ceremony import BadSpec, CeremonySpec, PartySpec
from pki.hierarchy import Hierarchy
from pki.journal import MemoryJournal
from pki.roles import Group, Role
from pki.status import Revoked, Scope, StatusSet
from pki.store.records import CeremonyReplayed, Query
from pki.store.sqlite import SqliteStore
from tests.support import softhsm

NOW_MS = 1_767_225_600_000
SPEC = CeremonySpec(
    organisation="Test",
    ceremony="2026 first",
    performed_by=("Key holder 1", "Auditor 2"),
    root_days=3650,
    issuing_days=365,
    parties=(PartySpec(id="FI-AUR", role=Role.FO, organisation="Aurora"), PartySpec(id="evu-1", role=Role.EVU)),
)
LATER = b"""
ceremony = "2027 FO"
performed_by = ["Key holder 1"]
[[steps]]
act = "follow"
group = "FO"
[[steps]]
act = "follow-root"
[[steps]]
act = "root-list"
"""


@pytest.fixture
def store() -> SqliteStore:
    return SqliteStore()


def _perform(spec: CeremonySpec, store: SqliteStore) -> ceremony.Ceremony:
    return ceremony.perform(spec, tls_now_ms=NOW_MS, signing_now_ms=NOW_MS, store=store)


def _verify(made: Hierarchy, text: bytes, signature: bytes) -> None:
    made.root.certificate.public_key().verify(signature, text, ec.ECDSA(hashes.SHA384()))


def test_a_transcript_names_everything_that_was_made_and_no_person(store: SqliteStore, tmp_path: Path) -> None:
    made = _perform(SPEC, store)
    said = json.loads(made.transcript)
    assert (said["ceremony"], said["performed_by"]) == ("2026 first", ["Key holder 1", "Auditor 2"])
    assert [line["name"] for line in said["authorities"]] == ["root", *(group.lower() for group in Group)]
    for line, authority in zip(said["authorities"], made.hierarchy.authorities(), strict=True):
        assert line["tbs_sha256"] == hashlib.sha256(authority.certificate.tbs_certificate_bytes).hexdigest()
        assert (line["key_sha256"], line["key_place"]) == (authority.key_sha256, "file")
    assert [line["profile"] for line in said["certificates"]].count("FO/TLS_CLIENT/v1") == 1
    assert {line["party"] for line in said["certificates"]} == {"FI-AUR", None}
    assert said["crls_sha256"] == [hashlib.sha256(crl).hexdigest() for crl in made.crls]
    assert made.parties["evu-1"].party_id.encode() not in made.transcript
    _verify(made.hierarchy, made.transcript, made.signature)
    days = {(line["not_after_ms"] - line["not_before_ms"]) // 86_400_000 for line in said["authorities"]}
    assert days == {3650, 365}
    ceremony.save(made, tmp_path / "out", None)
    assert (tmp_path / "out" / "transcripts" / "first.json").read_bytes() == made.transcript
    held = store.ceremony("2026 first")
    assert held is not None
    assert held.transcript == made.transcript


def test_ceremony_file_replay_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    made = _perform(SPEC, store)
    before = len(store.find())
    for again in (SPEC, replace(SPEC, organisation="Other")):
        with pytest.raises(CeremonyReplayed) as caught:
            _perform(again, store)
        assert caught.value.code == "pki/ceremony-replayed"
    assert len(store.find()) == before
    ceremony.save(made, tmp_path / "out", None)
    with pytest.raises(CeremonyReplayed):
        ceremony.save(_perform(SPEC, SqliteStore()), tmp_path / "out", None)
    unnamed = replace(SPEC, ceremony="")
    _perform(unnamed, store)
    with pytest.raises(CeremonyReplayed):
        _perform(unnamed, store)


def test_a_later_ceremony_follows_authorities_and_is_done_once(store: SqliteStore, tmp_path: Path) -> None:
    made = _perform(SPEC, store)
    ceremony.save(made, tmp_path, None)
    folder, root_folder = tmp_path / "authorities", tmp_path / "root"
    spec = succession.parse_spec(LATER)

    def load(root: Path | None) -> Hierarchy:
        return Hierarchy.load(folder, None, store=store, journal=MemoryJournal(), root_folder=root)

    def perform(hierarchy: Hierarchy) -> succession.Succession:
        return succession.perform(
            spec,
            hierarchy,
            now_ms=NOW_MS + 1000,
            folder=folder,
            password=b"later",
            root_folder=root_folder,
            root_password=None,
        )

    with pytest.raises(keys.KeyOffline):
        perform(load(None))
    done = perform(load(root_folder))
    assert (done.hierarchy.root.name, done.hierarchy.issuing[Group.FO].name) == ("root-g2", "fo-g2")
    assert set(done.crls) == {"root", "root-g2", "fo-g2"}
    assert [one.name for one in done.made] == ["fo-g2", "root-g2"]
    assert x509.load_der_x509_crl(done.crls["root"]).issuer == made.hierarchy.root.certificate.subject
    _verify(done.hierarchy, done.transcript, done.signature)
    said = json.loads(done.transcript)
    assert [line["name"] for line in said["authorities"]] == ["fo-g2", "root-g2"]
    assert {file.name for file in root_folder.glob("*.key.pem")} == {"root.key.pem", "root-g2.key.pem"}
    assert (folder / "fo-g2.key.pem").exists()
    assert len(list((folder / "transcripts").iterdir())) == 2
    with pytest.raises(CeremonyReplayed):
        perform(done.hierarchy)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'ceremony = "x"',
        b'ceremony = "x"\nsteps = []',
        LATER.replace(b"2027 FO", b""),
        LATER.replace(b'"follow-root"', b'"burn"'),
        LATER.replace(b'group = "FO"', b'group = "KING"'),
        LATER.replace(b'group = "FO"', b'group = "FO"\ncolour = "red"'),
        LATER + b'[[steps]]\nact = "root-list"\n' * succession.MAX_STEPS,
    ],
)
def test_a_later_ceremony_that_is_wrong_is_refused(data: bytes) -> None:
    with pytest.raises(BadSpec):
        succession.parse_spec(data)


def test_places_of_keys_are_checked_before_anything_is_made(store: SqliteStore) -> None:
    with pytest.raises(BadSpec):
        _perform(replace(SPEC, keys={"king": "pkcs11:"}), store)
    with pytest.raises(keyplace.BadKeyPlace):
        _perform(replace(SPEC, keys={"fo": "pkcs11:token=t"}), store)
    assert store.find() == []


def test_a_ceremony_may_make_its_keys_in_a_token(store: SqliteStore, tmp_path: Path) -> None:
    label = f"t-{uuid4().hex[:12]}"
    softhsm.token(label)
    made = _perform(replace(SPEC, keys={"root": softhsm.uri(label, "root"), "fo": softhsm.uri(label, "fo")}), store)
    places = {line["name"]: line["key_place"] for line in json.loads(made.transcript)["authorities"]}
    assert places["cso"] == "file"
    assert places["fo"].startswith(f"pkcs11:token={label};object=fo")
    ceremony.save(made, tmp_path / "out", b"secret")
    assert (tmp_path / "out" / "root" / "root.key.uri").exists()
    assert not (tmp_path / "out" / "root" / "root.key.pem").exists()
    assert transcript.spec_sha256(SPEC) != transcript.spec_sha256(replace(SPEC, development=True))


REVOKE = b"""
ceremony = "2028 compromise"
[[steps]]
act = "follow"
group = "FO"
[[steps]]
act = "revoke"
authority = "fo"
reason = "cACompromise"
"""


def test_an_authority_is_ended_in_a_ceremony_and_the_roots_list_says_so(store: SqliteStore, tmp_path: Path) -> None:
    made = _perform(SPEC, store)
    ceremony.save(made, tmp_path, None)
    folder, root_folder = tmp_path / "authorities", tmp_path / "root"
    hierarchy = Hierarchy.load(folder, None, store=store, journal=MemoryJournal(), root_folder=root_folder)
    given: dict[str, Any] = {"folder": folder, "password": None, "root_folder": root_folder, "root_password": None}
    wrong = succession.parse_spec(REVOKE.replace(b'authority = "fo"', b'authority = "root"'))
    held = len(store.page(Query()).found)
    with pytest.raises(BadSpec):
        succession.perform(wrong, hierarchy, now_ms=NOW_MS + 1000, **given)
    assert len(store.page(Query()).found) == held  # refused before the step before it was done
    done = succession.perform(succession.parse_spec(REVOKE), hierarchy, now_ms=NOW_MS + 2000, **given)
    assert set(done.crls) == {"root", "fo-g2"}
    fo = made.hierarchy.issuing[Group.FO].certificate
    status = StatusSet([*made.crls, *done.crls.values()])
    with pytest.raises(Revoked):
        status.standing(hierarchy.root.certificate, fo.serial_number, NOW_MS + 3000, Scope.AUTHORITY)
    later = done.hierarchy.issuing[Group.FO].certificate
    assert status.standing(hierarchy.root.certificate, later.serial_number, NOW_MS + 3000, Scope.AUTHORITY)
    assert status.crl_for(later, NOW_MS + 3000)
