"""A hierarchy whose keys are in a token: OpenSSL accepts its chain and lists, and a restart finds the keys again."""

import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pki import csr, keyplace, keys, pkcs11
from pki.authority import Subscriber
from pki.hierarchy import Hierarchy
from pki.journal import MemoryJournal
from pki.roles import Group, Purpose, Role
from pki.store.records import Reason
from pki.store.sqlite import SqliteStore
from tests.support import softhsm

NOW_MS = 1_768_867_200_000
FO = Subscriber(party_id="FI-AUR", organisation="Aurora Flex")
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command")


def _csr() -> csr.OpenedCsr:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return csr.open_csr(request.sign(keys.generate(), hashes.SHA256()).public_bytes(Encoding.DER))


def _verify(folder: Path, leaf: x509.Certificate, crls: dict[str, bytes]) -> int:
    (folder / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    lists = b"".join(x509.load_der_x509_crl(data).public_bytes(Encoding.PEM) for data in crls.values())
    (folder / "lists.pem").write_bytes(lists)
    command = ["openssl", "verify", "-x509_strict", "-crl_check_all", "-attime", str(NOW_MS // 1000 + 2)]
    command += ["-CRLfile", "lists.pem", "-CAfile", "ca/root.crt.pem", "-untrusted", "ca/fo.crt.pem", "leaf.pem"]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=30, check=False).returncode


def test_openssl_accepts_what_a_token_signed(tmp_path: Path) -> None:
    label = f"t-{uuid4().hex[:12]}"
    softhsm.token(label)
    places = {name: keyplace.parse(softhsm.uri(label, f"{name}-ca")) for name in ("root", "fo")}
    root = pkcs11.generate(places["root"], ec.SECP384R1())
    fo = pkcs11.generate(places["fo"], ec.SECP256R1())
    made = Hierarchy.create(
        organisation="Test",
        zone="flexledger.example",
        now_ms=NOW_MS,
        store=SqliteStore(),
        journal=MemoryJournal(),
        signers={None: root, Group.FO: fo},
    )
    made.save(tmp_path / "ca", b"secret", root_folder=tmp_path / "safe")
    assert (tmp_path / "safe" / "root.key.uri").read_text().strip() == places["root"].uri()
    assert not (tmp_path / "ca" / "fo.key.pem").exists()
    pkcs11.forget_sessions()  # as after a restart
    loaded = Hierarchy.load(
        tmp_path / "ca", b"secret", store=SqliteStore(), journal=MemoryJournal(), root_folder=tmp_path / "safe"
    )
    leaf = loaded.issue(Role.FO, Purpose.TLS_CLIENT, _csr(), subscriber=FO, now_ms=NOW_MS)
    assert _verify(tmp_path, leaf, loaded.crl(NOW_MS)) == 0
    loaded.revoke(fo_key := loaded.issuing[Group.FO].key_sha256, leaf.serial_number, Reason.KEY_COMPROMISE, NOW_MS)
    assert fo_key == keys.spki_sha256(fo.public_key())
    assert _verify(tmp_path, leaf, loaded.crl(NOW_MS + 1000)) != 0
