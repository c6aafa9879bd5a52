"""Who may do what with whose object, by hand, for every route: what the matrix of tests compares the service with.

Callers by short names: `fo` operates the request `own`, `rival` another; `cso` operates site and port, `other` another
site; `csp` has a contract of its own and no part in the request; `e1` takes part with its car, `e5` does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from api.cli.demo import cast
from tests.support.house_acts import FSR

CALLERS: Final[Mapping[str, str]] = {
    "fo": cast.FO,
    "rival": cast.RIVAL,
    "cso": cast.CSO,
    "other": cast.OTHER_CSO,
    "csp": cast.CSP,
    "cb": cast.CB,
    "aud": cast.AUD,
    "dpo": cast.DPO,
    "ops": cast.OPS,
    "e1": cast.DC_BAYS[0].person,
    "e5": cast.CSP_BAYS[0].person,
    "station": cast.DC_BAYS[0].station_id,
}
QUERY: Final = "query-of-the-matrix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A resource with an object: who sees this one. Others in a role of the route learn no more than of none."""

    sees: str
    query: str = ""
    absent: Mapping[str, str] = field(default_factory=dict)
    """What the same path names when it names nothing; filled in where all parameters say `none` otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A list: in whose this one object stands. Others in a role of the route get a list without it."""

    member: str
    name: str
    sees: str
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A write that is no statement: who may do it to this object. Others in a role of the route find nothing there."""

    may: str
    body: str = ""
    method: str = "POST"


PUBLIC: Final = frozenset(
    {
        ("GET", "/checkpoint"),
        ("GET", "/tile/{path}"),
        ("GET", "/v1/entries/{index}"),
        ("GET", "/v1/entries/{index}/receipt"),
        ("GET", "/v1/proofs/consistency"),
        ("GET", "/v1/timestamps"),
        ("GET", "/crl/{file}"),
        ("GET", "/pki/{file}"),
        ("GET", "/pki/ocsp/{encoded}"),
        ("POST", "/pki/ocsp"),
        ("GET", "/.well-known/flexledger"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/openapi.json"),
        ("GET", "/.well-known/est/cacerts"),
        ("GET", "/.well-known/est/csrattrs"),
        ("GET", "/.well-known/est/{label}/cacerts"),
        ("GET", "/.well-known/est/{label}/csrattrs"),
        # A code stands in for the certificate that a newcomer does not have yet.
        ("POST", "/.well-known/est/simpleenroll"),
        ("POST", "/.well-known/est/{label}/simpleenroll"),
    }
)
"""What answers everybody alike: signed by the log or an authority, or secret to nobody."""

READS: Final[Mapping[str, Read]] = {
    "/v1/requests/{fsr_id}": Read(sees="fo cso aud dpo"),
    "/v1/requests/{fsr_id}/record": Read(sees="fo cso aud"),
    "/v1/requests/{fsr_id}/log": Read(sees="fo cso aud dpo"),
    "/v1/requests/{fsr_id}/decisions": Read(sees="fo cso aud dpo e1"),
    "/v1/requests/{fsr_id}/openadr": Read(sees="fo cso aud"),
    "/v1/contracts/{fsc_id}": Read(sees="fo cso aud dpo"),
    "/v1/contracts/discovery/{query_id}": Read(sees="fo cso aud dpo"),
    "/v1/sites/{site_id}": Read(sees="fo cso csp aud dpo"),
    "/v1/sites/{site_id}/energy": Read(sees="fo cso csp aud", query="?from=0&to=900000&period=900"),
    "/v1/stations/{station_id}": Read(sees="fo cso csp aud dpo"),
    "/v1/checks/{check_id}": Read(sees="fo cso aud dpo"),
    "/v1/streams/{kind}/{name}": Read(sees="fo cso aud dpo ops e1"),
    "/v1/claims/{claim_id}": Read(sees="cso cb aud dpo"),
    "/v1/claims/{claim_id}/status": Read(sees="cso cb aud dpo"),
    "/v1/credentials/{name}": Read(sees="fo aud ops"),
    "/v1/webhooks/{webhook_id}": Read(sees="fo"),
}
"""GET, by path."""

LISTS: Final[Mapping[str, Listed]] = {
    "/v1/requests": Listed(member="requests", name="fsr_id", sees="fo cso aud dpo"),
    "/v1/contracts": Listed(member="contracts", name="fsc_id", sees="fo cso aud dpo"),
    "/v1/contracts/discovery": Listed(member="questions", name="query_id", sees="fo cso aud dpo"),
    "/v1/sites": Listed(member="sites", name="site_id", sees="fo cso csp aud dpo"),
    "/v1/stations": Listed(member="stations", name="station_id", sees="fo cso csp aud dpo"),
    "/v1/checks": Listed(member="checks", name="check_id", sees="fo cso aud dpo"),
    "/v1/streams": Listed(
        member="streams", name="stream", sees="fo cso aud dpo ops e1", query=f"?prefix=fsr/{FSR}&limit=1000"
    ),
    "/v1/claims": Listed(member="claims", name="claim_id", sees="cso cb aud dpo"),
    "/v1/credentials": Listed(member="credentials", name="name", sees="fo aud ops", query="?limit=1000"),
    "/v1/participations": Listed(member="participations", name="participation", sees="e1"),
    "/v1/webhooks": Listed(member="webhooks", name="id", sees="fo"),
    "/v1/disclosures": Listed(member="disclosures", name="index", sees="fo aud dpo"),
}
"""GET, by path."""

ACTS: Final[Mapping[str, Act]] = {
    "/v1/checks": Act(may="cso", body="check"),
    "/v1/requests/{fsr_id}/proof": Act(may="cso", body="nothing"),
    "/v1/credentials/{name}/revocation": Act(may="fo ops", body="revocation"),
    "/v1/webhooks/{webhook_id}/resumption": Act(may="fo", body="nothing"),
    "/v1/webhooks/{webhook_id}": Act(may="fo", method="DELETE"),
}
"""By path: it is about an object, and no statement."""

OWN: Final = frozenset(
    {
        ("POST", "/v1/tokens"),
        ("POST", "/v1/webhooks"),
        ("POST", "/v1/statements"),
        ("POST", "/v1/statements/prepare"),
        ("POST", "/v1/exports"),
        ("GET", "/v1/exports/policies"),
        # The privacy officer answers for every person alike, whoever has contracts with them.
        *(
            ("POST", f"/v1/subjects/{act}")
            for act in (
                "access",
                "erasure",
                "hold",
                "hold/release",
                "portability",
                "recipients",
                "rectification",
                "restriction",
                "restriction/lifting",
            )
        ),
        ("GET", "/v1/entries/{index}/erasure-receipt"),
        ("POST", "/v1/retention/runs"),
        ("GET", "/v1/notices"),
        ("POST", "/v1/notices/{number}/sent"),
        ("GET", "/v1/privacy/work"),
        ("POST", "/v1/privacy/key-rotations"),
        ("GET", "/v1/records-of-processing"),
        ("POST", "/v1/breach-scope"),
        ("GET", "/v1/reidentifications"),
        ("POST", "/v1/reidentifications"),
        ("POST", "/v1/reidentifications/{request_id}/approval"),
        ("POST", "/v1/reidentifications/{request_id}/refusal"),
        ("POST", "/v1/reidentifications/{request_id}/answer"),
        ("POST", "/v1/credentials/invitations"),
        ("GET", "/v1/credentials/invitations"),
        ("DELETE", "/v1/credentials/invitations/{name}"),
        ("POST", "/.well-known/est/simplereenroll"),
        ("POST", "/.well-known/est/{label}/simplereenroll"),
        ("GET", "/v1/events"),
    }
)
"""The role alone decides: there is no object, or only the caller's own words and credentials. Tests of their own judge
what is in a batch, what is told to a listener, and which certificate follows which."""
