"""P12 and P13: what a credential costs to trust, cold and known, and the check of six dimensions."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from api.verification import check
from api.verification.actors import thumbprint
from ledger.records import statement
from ledger.records.credentials import CheckPurpose, Status
from ledger.rules.contract_state import ContractStatus
from pki import validation
from pki.roles import Purpose
from pki.tbs import digest_for
from tests.bench import ground
from tests.bench.frame import Pair, Row, Scale, repeated, speed, time
from tests.support import world as stage

_Signatures = list[tuple[ec.EllipticCurvePublicKey, bytes, bytes, ec.ECDSA]]


def _bare(certificates: list[x509.Certificate]) -> _Signatures:
    """What verifying each certificate under the next one's key takes and no more."""
    found = []
    for one, issuer in pairwise(certificates):
        key = issuer.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise TypeError("authorities have keys on elliptic curves")
        found.append((key, one.signature, one.tbs_certificate_bytes, ec.ECDSA(digest_for(key))))
    return found


@contextmanager
def _cold(scale: Scale) -> Iterator[Pair]:
    """A directory that met the authority a moment ago, as a service has for every leaf but the first of each."""
    with _leaf_of(scale) as (validated, signatures):
        times = scale.of(300, 60)
        yield Pair(repeated(validated, times), repeated(lambda: _verify(signatures), times))


@contextmanager
def _cold_beside_one(scale: Scale) -> Iterator[Pair]:
    """The same beside the one signature that is left to verify."""
    with _leaf_of(scale) as (validated, signatures):
        times = scale.of(300, 60)
        yield Pair(repeated(validated, times), repeated(lambda: _verify(signatures[:1]), times))


@contextmanager
def _coldest(scale: Scale) -> Iterator[Pair]:
    """Nothing is known of the authority, so that both signatures of the chain are verified."""
    with _leaf_of(scale, forget=True) as (validated, signatures):
        times = scale.of(300, 60)
        yield Pair(repeated(validated, times), repeated(lambda: _verify(signatures), times))


def _verify(signatures: _Signatures) -> None:
    for key, signature, message, how in signatures:
        key.verify(signature, message, how)


@contextmanager
def _leaf_of(scale: Scale, *, forget: bool = False) -> Iterator[tuple[Callable[[], object], _Signatures]]:
    with ground.opened(scale) as ours:
        world = ours.world
        chain = world.made.parties[stage.FO].credentials[Purpose.SIGNING].chain
        at_ms = world.clock.now_ms()
        certificates = [x509.load_der_x509_certificate(one) for one in chain[:2]]
        signatures = _bare([*certificates, _root(world, certificates[-1])])

        def validated() -> object:
            return validation.validate(
                chain[0],
                chain[1:],
                anchors=world.directory.anchors,
                status=world.directory.status,
                at_ms=at_ms,
                purpose=Purpose.SIGNING,
            )

        yield (
            validated if forget else lambda: world.directory.validate(chain[0], at_ms, purpose=Purpose.SIGNING),
            signatures,
        )


def _root(world: stage.World, issued: x509.Certificate) -> x509.Certificate:
    return next(one for one in world.made.anchors.certificates if one.subject == issued.issuer)


@contextmanager
def _cached(scale: Scale) -> Iterator[Pair]:
    with ground.opened(scale) as ours:
        directory = ours.world.directory
        der = ours.world.made.parties[stage.FO].credentials[Purpose.SIGNING].chain[0]
        at_ms = ours.world.clock.now_ms()
        directory.credential(directory.add(der), at_ms)
        known = {sha256(der).digest(): at_ms}
        times = scale.of(20_000, 5_000)
        yield Pair(
            repeated(lambda: directory.credential(thumbprint(der), at_ms), times),
            repeated(lambda: known[sha256(der).digest()], times),
        )


@contextmanager
def _checked(scale: Scale) -> Iterator[Pair]:
    with ground.opened(scale) as ours:
        world = ours.world
        inputs = ours.run(_inputs(world))
        found = check.run(inputs)
        if found.overall is not Status.PASS:
            raise AssertionError("the check that is measured does not pass")
        issued = world.made.parties[stage.FO].credentials[Purpose.SIGNING]
        message = statement.sign(
            found,
            key=issued.key,
            x5t=thumbprint(issued.chain[0]),
            party=stage.FO,
            audience=stage.ORIGIN,
            stream=f"fsr/{found.fsr_id}",
            now_ms=world.clock.now_ms(),
        ).raw.encode()
        how = ec.ECDSA(hashes.SHA256())
        signature, key = issued.key.sign(message, how), issued.key.public_key()
        times = scale.of(500, 100)
        yield Pair(
            repeated(lambda: check.run(inputs), times), repeated(lambda: key.verify(signature, message, how), times)
        )


async def _inputs(world: stage.World) -> check.CheckInputs:
    """The inputs of one check before a request, one EVSE, as `flows.check` puts them together; evidence is warm."""
    await stage.plug_in(world)
    await stage.certify(world)
    fsc_ids = (await stage.contract(world), await stage.contract(world, stage.PERSONS[0], stage.EVSES[0]))
    start_at_ms = stage.DAWN_MS + 4 * stage.HOUR_MS
    fsr_id = await stage.issue(
        world, fsc_ids, stage.congestion(start_at_ms), start_at_ms, start_at_ms + 2 * stage.STEP_MS
    )
    desk, memory, now_ms = world.desk, world.memory, world.clock.now_ms()
    request = desk.state.request(fsr_id)
    contracts = {}
    for fsc_id in fsc_ids:
        offer = memory.offer(fsc_id)
        if offer is not None:
            in_force = desk.state.contract(fsc_id).status(now_ms) is ContractStatus.ACTIVE
            contracts[fsc_id] = check.ContractInForce(offer=offer, in_force=in_force)
    evse_id = stage.EVSES[0]
    return check.CheckInputs(
        check_id=stage.new_id("check"),
        purpose=CheckPurpose.PRE_FSR,
        as_of_ms=now_ms,
        request=request.issued,
        mandate_proven=False,
        fo_party=request.fo,
        fo=lambda: desk.directory.credential(memory.signer_of_request(fsr_id), now_ms),
        site=desk.state.site(stage.SITE).configured,
        contracts=contracts,
        candidates=[
            check.Candidate(
                participation=stage.new_id("p"),
                evse_id=evse_id,
                session=memory.session_at(stage.SITE, evse_id, now_ms),
            )
        ],
        station=lambda evse: desk.directory.station(evse.key_spki_sha256, now_ms),
        operator=stage.CSO,
        documents=lambda keys: memory.documents(stage.SITE, keys, now_ms),
    )


ROWS = (
    Row(
        id="P12",
        what="path validation, status, cold: authority unknown",
        floor="the two signatures of the chain, keys loaded",
        goal=speed(0.60),
        prepare=_coldest,
    ),
    Row(
        id="P12",
        what="path validation, status, cold: authority seen before",
        floor="the two signatures of the chain, keys loaded (the authority's is proven once and not verified again)",
        goal=speed(0.60),
        prepare=_cold,
    ),
    Row(
        id="P12",
        what="the same beside the leaf's signature alone",
        floor="the leaf's signature, key loaded",
        goal=speed(0.60),
        prepare=_cold_beside_one,
    ),
    Row(
        id="P12",
        what="path validation, known (with the revocation epoch)",
        floor="SHA-256 of the certificate and a look-up",
        goal=speed(0.50),
        prepare=_cached,
    ),
    Row(
        id="P13",
        what="credential check, six dimensions, one EVSE, warm",
        floor="one ES256 verification",
        goal=time(2.0),
        prepare=_checked,
    ),
)
