"""The composition root: the only place that lists the routes and puts the service behind them."""

import base64
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from litestar.di import Provide

from api.flows.service import Service
from api.web.assembly import Assembly, assemble
from api.web.identity import Identity
from api.web.routes import (
    checks,
    claims,
    contracts,
    credentials,
    est,
    events,
    evidence,
    exports,
    health,
    log,
    parties,
    privacy,
    reidentifications,
    requests,
    sites,
    statements,
    status,
    streams,
    subjects,
    webhooks,
)
from api.web.routes import tokens as tokens_route
from api.web.tokens import Tokens
from ledger.clock import SystemClock
from ledger.errors import Broken
from pki.credential import Credential
from pki.roles import Purpose

DISTRIBUTION: Final = "flexledger"


def create_app(service: Service) -> Assembly:
    """The application over an open service."""
    transport_clock = SystemClock()

    def authenticate(leaf: bytes) -> Credential:
        """TLS credentials live in the machine's own time, whatever time the business has."""
        return service.directory.validate(leaf, transport_clock.now_ms(), purpose=Purpose.TLS_CLIENT)

    tokens = Tokens(issuer=service.settings.origin, epoch=lambda: service.directory.epoch, clock=transport_clock)

    async def provide() -> Service:
        return service

    async def provide_tokens() -> Tokens:
        return tokens

    handlers = (
        *health.routes(probes=probes(service), about=lambda: about(service)),
        *sites.HANDLERS,
        *claims.HANDLERS,
        *contracts.HANDLERS,
        *parties.HANDLERS,
        *requests.HANDLERS,
        *checks.HANDLERS,
        *statements.HANDLERS,
        *streams.HANDLERS,
        *webhooks.HANDLERS,
        *log.HANDLERS,
        *events.HANDLERS,
        *evidence.HANDLERS,
        *exports.HANDLERS,
        *privacy.HANDLERS,
        *subjects.HANDLERS,
        *reidentifications.HANDLERS,
        *credentials.HANDLERS,
        *est.HANDLERS,
        *status.routes(lambda: service.status),
        *tokens_route.HANDLERS,
    )
    return assemble(
        handlers,
        identity=Identity(authenticate, epoch=lambda: service.directory.epoch, clock=transport_clock, tokens=tokens),
        limits=service.settings.limits,
        version=version(DISTRIBUTION),
        dependencies={"service": Provide(provide), "tokens": Provide(provide_tokens)},
    )


def probes(service: Service) -> dict[str, health.Probe]:
    """What must work for the service to be ready."""

    async def log_is_signed() -> None:
        service.publisher.latest()
        service.witnessing.require_signing()

    async def clock_is_readable() -> None:
        if service.desk.clock.now_ms() <= 0:
            raise Broken("the clock says nothing")

    async def log_is_clean() -> None:
        service.auditing.require_clean()

    return {"log": log_is_signed, "clock": clock_is_readable, "audit": log_is_clean}


def about(service: Service) -> Mapping[str, Any]:
    """The document at /.well-known/flexledger."""
    return {
        "origin": service.settings.origin,
        "vkey": service.engines.log_keys.vkeys()[-1],
        "vkeys": service.engines.log_keys.vkeys(),
        "checkpoint": "/checkpoint",
        "tiles": "/tile/",
        "party": service.desk.me.party,
        "signing_certificate": base64.b64encode(service.engines.service_key.certificate).decode(),
        "development": service.settings.development,
        "version": version(DISTRIBUTION),
    }
