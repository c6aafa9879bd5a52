"""The service of P4 and P5 in a process of its own: `python -m tests.bench.https_server SETTINGS READY_FILE`.

Its application has one route more, the floor of P4: behind the same server, TLS, identity and limits it reads the same
body, verifies the same signature and answers with as many octets, and stores nothing.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from litestar import Request, post

from api import telemetry, wire
from api.app import create_app
from api.cli.demo import cast as people
from api.flows.service import open_service
from api.settings import Limits, load
from api.verification.actors import thumbprint
from api.web import server
from api.web.identity import require
from ledger.clock import SetClock
from ledger.records import jws
from pki.roles import Role
from tests.support import house

FLOOR_PATH = "/bench/floor"
ANSWER = wire.Accepted(index=1_000, leaf_hash="0" * 64, stream="site/SITE-00", seq=100, rec_ms=0, tree_size=1_000)
_keys: dict[str, jws.PublicKey] = {}


@post(FLOOR_PATH, guards=[require(Role.CSO)], status_code=201)
async def floor(request: Request[Any, Any, Any]) -> wire.Accepted:
    """The least that an answer to a signed statement takes."""
    submitted = wire.decode(await request.body(), wire.Submission)
    parsed = jws.parse(submitted.statement)
    jws.open_jws(parsed, _keys[parsed.header["x5t#S256"]])
    return ANSWER


async def serve(config: Path, ready: Path) -> None:
    """Serves until a signal says stop; `ready` then has the port."""
    settings = load(config, {})
    settings = msgspec.structs.replace(
        settings,
        limits=Limits(requests_per_s=100_000, burst=100_000),
        listen=msgspec.structs.replace(settings.listen, port=0),
    )
    engines = house.open_engines(settings, SetClock(people.at(9)))
    async with open_service(settings, engines, None) as service:
        assembled = create_app(service)
        assembled.framework.register(floor)
        for path in sorted(config.parent.glob("credentials/parties/*/signing.crt.pem")):
            certificate = x509.load_pem_x509_certificates(path.read_bytes())[0]
            key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            _keys[thumbprint(certificate.public_bytes(Encoding.DER))] = jws.load_key(key)
        await server.serve(
            assembled.app,
            settings,
            connections=assembled.connections,
            on_started=lambda bound: ready.write_text(str(bound.port)),
            on_stopping=service.feed.close,
        )


if __name__ == "__main__":
    telemetry.configure()
    server.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
