"""A time-stamping authority for tests: OpenSSL's `ts`, with a root and a signer of its own."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = placeholder
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[tsa]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
authorityKeyIdentifier = keyid
[web]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping, clientAuth
[ts]
default_tsa = tsa_config
[tsa_config]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.3.6.1.4.1.32473.1
digests = sha256, sha512
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = {ess}
"""


@dataclass(frozen=True)
class Tsa:
    """An authority in a folder: `root.pem`, and the signer `tsa.pem` with its key."""

    folder: Path

    @property
    def root(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / "root.pem").read_bytes())

    @property
    def signer(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.folder / "tsa.pem").read_bytes())

    def stamp(self, request: bytes) -> bytes:
        """The TimeStampResp to a request."""
        (self.folder / "request.tsq").write_bytes(request)
        _openssl(
            self.folder,
            "ts", "-reply", "-config", "ts.cnf", "-section", "tsa_config", "-queryfile", "request.tsq",
            "-inkey", "tsa.key", "-signer", "tsa.pem", "-out", "reply.tsr",
        )  # fmt: skip
        return (self.folder / "reply.tsr").read_bytes()


def make(folder: Path, *, kind: str = "rsa", section: str = "tsa", ess: str = "sha256") -> Tsa:
    """A new authority whose signer has a key of this kind; the test is skipped where there is no OpenSSL."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    folder.mkdir(parents=True)
    (folder / "ts.cnf").write_text(CONFIG.format(folder=folder, ess=ess))
    (folder / "serial").write_text("1000\n")
    new = ["-newkey", "rsa:2048"] if kind == "rsa" else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    _openssl(
        folder,
        "req", "-x509", "-config", "ts.cnf", "-extensions", "root", "-subj", "/CN=TSA root", "-days", "30", "-nodes",
        *new, "-keyout", "root.key", "-out", "root.pem",
    )  # fmt: skip
    _openssl(
        folder,
        "req",
        "-config",
        "ts.cnf",
        "-subj",
        "/CN=TSA signer",
        "-nodes",
        *new,
        "-keyout",
        "tsa.key",
        "-out",
        "tsa.csr",
    )
    _openssl(
        folder,
        "x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-set_serial", "4711", "-days", "20",
        "-extfile", "ts.cnf", "-extensions", section, "-out", "tsa.pem",
    )  # fmt: skip
    return Tsa(folder)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)
