"""P16: a certificate from a request, beside the two operations with keys that it cannot do without."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from time import perf_counter

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pki import csr, keys, names, profiles, tbs
from pki.asn1 import flexrole
from pki.authority import Subscriber, new_serial
from pki.hierarchy import Hierarchy
from pki.journal import MemoryJournal
from pki.roles import Purpose, Role
from pki.store.sqlite import SqliteStore
from tests.bench.frame import Pair, Row, Scale, repeated, speed

FLOOR = "one P-256 verification and one P-256 signature, keys loaded"
NOW_MS = 1_767_225_600_000
FO = Subscriber(party_id="FI-AUR", organisation="Aurora Flex")
ZONE = "bench.example"


def _request() -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(keys.generate(), hashes.SHA256()).public_bytes(Encoding.DER)


def _bare(times: int) -> Callable[[], float]:
    key, how, message = keys.generate(), ec.ECDSA(hashes.SHA256()), bytes(600)
    signature, public = key.sign(message, how), key.public_key()

    def both() -> None:
        public.verify(signature, message, how)
        key.sign(message, how)

    return repeated(both, times)


def _hierarchy(store: SqliteStore) -> Hierarchy:
    return Hierarchy.create(
        organisation="Bench", zone=ZONE, now_ms=NOW_MS, store=store, journal=MemoryJournal(), development=True
    )


@contextmanager
def _crypto(scale: Scale) -> Iterator[Pair]:
    store = SqliteStore()
    try:
        authority = _hierarchy(store).authority_of(Role.FO)
        profile = profiles.get(Role.FO, Purpose.TLS_CLIENT)
        window = tbs.window_from(NOW_MS, profile.default_lifetime_ms, authority.certificate)
        request = _request()

        def issued() -> None:
            order = tbs.LeafOrder(
                profile=profile,
                public_key=csr.open_csr(request).public_key,
                identity=names.Identity(Role.FO, FO.party_id, None),
                organisation=FO.organisation,
                role=flexrole.FlexRole(Role.FO, FO.party_id, FO.services, None),
                hosts=(),
                zone=ZONE,
                development=True,
            )
            draft = tbs.leaf(order, issuer=authority.certificate, serial=new_serial(), window=window)
            tbs.signed(draft.encode(tbs.algorithm_for(authority.signer)), authority.signer)

        times = scale.of(200, 40)
        yield Pair(repeated(issued, times), _bare(times))
    finally:
        store.close()


def _whole(*, durable: bool) -> Callable[[Scale], AbstractContextManager[Pair]]:
    @contextmanager
    def prepare(scale: Scale) -> Iterator[Pair]:
        store = SqliteStore(scale.fresh() / "certificates.db" if durable else None)
        try:
            made = _hierarchy(store)
            times = scale.of(100, 20)

            def operation() -> float:
                requests = [_request() for _ in range(times)]
                started = perf_counter()
                for request in requests:
                    made.issue(Role.FO, Purpose.TLS_CLIENT, csr.open_csr(request), subscriber=FO, now_ms=NOW_MS)
                return (perf_counter() - started) / times

            yield Pair(operation, _bare(times))
        finally:
            store.close()

    return prepare


CALLERS = 64


@contextmanager
def _callers(scale: Scale) -> Iterator[Pair]:
    """As `_whole`, by 64 callers at once on a durable store: what they write shares its commits."""
    store = SqliteStore(scale.fresh() / "certificates.db")
    try:
        made = _hierarchy(store)
        times = scale.of(256, 64)

        def operation() -> float:
            requests = [_request() for _ in range(times)]

            def one(request: bytes) -> None:
                made.issue(Role.FO, Purpose.TLS_CLIENT, csr.open_csr(request), subscriber=FO, now_ms=NOW_MS)

            with ThreadPoolExecutor(CALLERS) as pool:
                started = perf_counter()
                list(pool.map(one, requests))
                return (perf_counter() - started) / times

        yield Pair(operation, _bare(times))
    finally:
        store.close()


ROWS = (
    Row(
        id="P16",
        what="certificate: request opened, built, signed",
        floor=FLOOR,
        goal=speed(0.40),
        prepare=_crypto,
    ),
    Row(
        id="P16",
        what="certificate: with lint, own check, store in memory",
        floor=FLOOR,
        goal=speed(0.25),
        prepare=_whole(durable=False),
    ),
    Row(
        id="P16",
        what="certificate: with lint, own check, durable store",
        floor=FLOOR,
        goal=speed(0.25),
        prepare=_whole(durable=True),
    ),
    Row(
        id="P16",
        what="certificate: lint, own check, durable store, 64 callers",
        floor=FLOOR,
        goal=speed(0.25),
        prepare=_callers,
    ),
)
