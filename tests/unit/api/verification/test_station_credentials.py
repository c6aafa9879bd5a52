"""Which certificate of a station counts, where its key had several; and what the numbers of its signed roots say."""

import datetime as dt
from collections.abc import Collection

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from api.verification import station_sequence
from api.verification.actors import Directory, thumbprint
from api.verification.errors import SignerUnknown
from ledger.delivery.grading import Grade
from pki import keys
from pki.credential import Credential
from pki.errors import PkiError
from pki.roles import Purpose, Role
from pki.status import StatusSet

DAY = dt.timedelta(days=1)
DAY_MS = 24 * 3_600_000
BEGIN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
BEGIN_MS = int(BEGIN.timestamp() * 1000)
KEY = ec.generate_private_key(ec.SECP256R1())
SPKI = keys.spki_sha256(KEY.public_key())


class OutOfTime(PkiError):
    code = "test/out-of-time"


class OfTime(Directory):
    """A directory that looks at the times of a certificate only, and says which one it took."""

    def credential(
        self, x5t: str, at_ms: int, *, purpose: Purpose = Purpose.SIGNING, roles: Collection[Role] | None = None
    ) -> Credential:
        assert (purpose, roles) == (Purpose.SIGNING, (Role.STATION,))
        certificate = x509.load_der_x509_certificate(self.certificate(x5t))
        at = dt.datetime.fromtimestamp(at_ms / 1000, tz=dt.UTC)
        if not certificate.not_valid_before_utc <= at < certificate.not_valid_after_utc:
            raise OutOfTime(f"outside of serial {certificate.serial_number}")
        return x5t  # type: ignore[return-value]


def certificate(serial: int, from_day: int, until_day: int, key: ec.EllipticCurvePrivateKey = KEY) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"CS-{serial}")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(BEGIN + from_day * DAY)
        .not_valid_after(BEGIN + until_day * DAY)
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.DER)


@pytest.fixture
def directory() -> OfTime:
    return OfTime(None, [], StatusSet([]))  # type: ignore[arg-type]  # nobody is asked for a root here


def test_of_several_certificates_with_a_stations_key_the_one_that_is_good_at_the_time_counts(directory: OfTime) -> None:
    old, new = certificate(1, 0, 30), certificate(2, 20, 60)
    directory.add(old)
    directory.add(certificate(3, 0, 90, ec.generate_private_key(ec.SECP256R1())))
    directory.add(new)
    assert directory.station(SPKI, BEGIN_MS + 10 * DAY_MS) == thumbprint(old)
    assert directory.station(SPKI, BEGIN_MS + 40 * DAY_MS) == thumbprint(new)
    # Where both are good it is the newer, in whatever order they came.
    assert directory.station(SPKI, BEGIN_MS + 25 * DAY_MS) == thumbprint(new)


def test_where_none_is_good_the_newest_says_why_and_a_forgotten_one_is_not_there(directory: OfTime) -> None:
    directory.add(certificate(1, 0, 30))
    last = directory.add(certificate(2, 20, 60))
    with pytest.raises(OutOfTime, match="serial 2"):
        directory.station(SPKI, BEGIN_MS + 70 * DAY_MS)
    directory.forget(last)
    with pytest.raises(OutOfTime, match="serial 1"):
        directory.station(SPKI, BEGIN_MS + 40 * DAY_MS)
    with pytest.raises(SignerUnknown):
        directory.station("00" * 32, BEGIN_MS)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([], []),
        ([7], []),
        ([7, 8, 9], []),
        ([9, 7, 8], []),
        ([7, 9], ["samples: sequence SEQ_GAP, 1 signed roots are not shown here: 8"]),
        ([3, 1, 9], ["samples: sequence SEQ_GAP, 6 signed roots are not shown here: 2, 4 to 8"]),
        ([1, 3, 5, 7, 9], ["samples: sequence SEQ_GAP, 4 signed roots are not shown here: 2, 4, 6 and 1 more gaps"]),
        ([4, 4], ["samples: sequence SEQ_REPEATED, 1 signed roots have another's number"]),
    ],
)
def test_a_skipped_or_repeated_number_of_a_signed_root_is_graded_and_named(
    numbers: list[int], words: list[str]
) -> None:
    assert list(station_sequence.judge(numbers)) == [(Grade.WEAK, one) for one in words]
