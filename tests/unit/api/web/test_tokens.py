"""A token narrows one certificate, for minutes; everything else that looks like one is refused."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from api.principals import Principal
from api.web import tokens as doors
from api.web.tokens import MAX_LIFETIME_S, Scope, ScopeExceeded, TokenRefused, Tokens
from pki.clock import SetClock
from tests.support.tls_files import Authority, credential_of

ORIGIN = "log.example/tokens"
READ = frozenset({Scope.READ})


class Place:
    """One process, two certificates."""

    def __init__(self, folder: Path) -> None:
        authority = Authority(folder)
        self.leaf, self.other = (_der(authority.client("FO-1", "FO").cert) for _ in range(2))
        self.clock = SetClock(credential_of(self.leaf).not_before_ms + 3_600_000)
        self.epoch = 0
        self.tokens = self.process()

    def process(self) -> Tokens:
        return Tokens(issuer=ORIGIN, epoch=lambda: self.epoch, clock=self.clock)

    def principal(self, leaf: bytes | None = None, **changes: Any) -> Principal:
        leaf = leaf or self.leaf
        x5t = base64.urlsafe_b64encode(hashlib.sha256(leaf).digest()).rstrip(b"=").decode()
        credential = msgspec.structs.replace(credential_of(leaf), x5t_s256=x5t, **changes)
        return Principal.from_credential(credential)

    def issue(self, scopes: frozenset[Scope] = READ, **changes: Any) -> str:
        return self.tokens.issue(self.principal(**changes), scopes).text

    def narrow(self, text: str, leaf: bytes | None = None) -> Principal:
        return self.tokens.narrow(self.principal(leaf), leaf or self.leaf, text)

    def forged(self, claims: dict[str, Any] | None = None, header: dict[str, Any] | None = None, **how: Any) -> str:
        """A token of this process's own form, signed with `how`, by default with the process's own key."""
        good = self.issue()
        payload = {**jwt.decode(good, options={"verify_signature": False}), **(claims or {})}
        kid = jwt.get_unverified_header(good)["kid"]
        signing = {"key": self.tokens._key, "algorithm": "ES256", **how}
        return jwt.encode(payload, headers={"typ": "at+jwt", "kid": kid, **(header or {})}, **signing)


def _der(path: Path) -> bytes:
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_token_narrows_the_certificate_that_it_was_issued_to(place: Place) -> None:
    issued = place.tokens.issue(place.principal(), READ)
    assert issued.expires_in_s == MAX_LIFETIME_S
    narrowed = place.narrow(issued.text)
    assert (narrowed.party, narrowed.scopes) == ("FO-1", frozenset({"read"}))
    doors.require_within(narrowed, "GET")
    with pytest.raises(ScopeExceeded):
        doors.require_within(narrowed, "POST")
    assert place.narrow(place.forged()).scopes == frozenset({"read"})


def test_a_token_says_whose_it_is_and_for_what_and_no_more(place: Place) -> None:
    claims = jwt.decode(place.issue(), options={"verify_signature": False})
    assert set(claims) == {"iss", "aud", "sub", "iat", "exp", "jti", "scope", "cnf", "role", "epoch"}
    assert claims["cnf"] == {"x5t#S256": place.principal().credential.x5t_s256}
    assert jwt.get_unverified_header(place.issue())["alg"] == "ES256"
    assert place.issue() != place.issue()


def test_a_scope_can_only_be_narrowed(place: Place) -> None:
    narrowed = place.narrow(place.issue())
    with pytest.raises(ScopeExceeded):
        place.tokens.issue(narrowed, frozenset({Scope.READ, Scope.WRITE}))
    with pytest.raises(ScopeExceeded):
        place.tokens.issue(narrowed, frozenset())
    assert place.tokens.issue(narrowed, READ).scopes == READ


def test_a_token_lives_as_long_as_it_says_and_not_a_second_more(place: Place) -> None:
    text = place.issue()
    place.clock.set_ms(place.clock.now_ms() + MAX_LIFETIME_S * 1000 - 1000)
    place.narrow(text)
    place.clock.set_ms(place.clock.now_ms() + 1000)
    with pytest.raises(TokenRefused):
        place.narrow(text)


@pytest.mark.parametrize("limit", ["not_after_ms", "status_valid_until_ms"])
def test_a_token_never_outlives_what_proved_the_certificate(place: Place, limit: str) -> None:
    until_ms = place.clock.now_ms() + 10_000
    issued = place.tokens.issue(place.principal(**{limit: until_ms}), READ)
    assert issued.expires_in_s == 10


def test_a_token_of_another_certificate_is_refused(place: Place) -> None:
    with pytest.raises(TokenRefused):
        place.narrow(place.issue(), place.other)


def test_a_token_dies_with_the_revocation_epoch(place: Place) -> None:
    text = place.issue()
    place.epoch += 1
    with pytest.raises(TokenRefused):
        place.narrow(text)


def test_a_token_dies_with_the_process_that_issued_it(place: Place) -> None:
    text = place.issue()
    place.tokens = place.process()
    with pytest.raises(TokenRefused):
        place.narrow(text)


def _hmac(place: Place) -> str:
    """What a verifier that lets the token choose would check with the public key as a secret."""
    pem = place.tokens._key.public_key().public_bytes(Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head, payload, _ = place.forged().split(".")
    kid = jwt.get_unverified_header(place.issue())["kid"]
    head = _part({"alg": "HS256", "typ": "at+jwt", "kid": kid})
    mac = hmac.new(pem, f"{head}.{payload}".encode(), hashlib.sha256).digest()
    return f"{head}.{payload}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _other_at(text: str, place: int) -> str:
    """The text with another character there."""
    return text[:place] + ("B" if text[place] == "A" else "A") + text[place + 1 :]


FORGED: dict[str, Callable[[Place], str]] = {
    "alg none": lambda place: place.forged(key=None, algorithm="none"),
    "HS256 with the public key as secret": _hmac,
    "ES256 with another key": lambda place: place.forged(key=ec.generate_private_key(ec.SECP256R1())),
    "ES384": lambda place: place.forged(key=ec.generate_private_key(ec.SECP384R1()), algorithm="ES384"),
    "a key of its own in the header": lambda place: place.forged(
        header={"jwk": json.loads(jwt.algorithms.ECAlgorithm.to_jwk(place.tokens._key.public_key()))}
    ),
    "a certificate in the header": lambda place: place.forged(header={"x5c": [base64.b64encode(place.leaf).decode()]}),
    "a key set elsewhere": lambda place: place.forged(header={"jku": "https://evil.example/keys"}),
    "a critical extension": lambda place: place.forged(header={"crit": ["exp"]}),
    "another kid": lambda place: place.forged(header={"kid": "../../dev/null"}),
    "an empty kid": lambda place: place.forged(header={"kid": ""}),
    "an identity token": lambda place: place.forged(header={"typ": "JWT"}),
    "a statement": lambda place: place.forged(header={"typ": "flex+sd-jwt"}),
    "another issuer": lambda place: place.forged({"iss": "log.example/other"}),
    "another audience": lambda place: place.forged({"aud": "log.example/other"}),
    "several audiences": lambda place: place.forged({"aud": [ORIGIN, "log.example/other"]}),
    "another subject": lambda place: place.forged({"sub": "FO-2"}),
    "another role": lambda place: place.forged({"role": "CSO"}),
    "an unknown scope": lambda place: place.forged({"scope": "read admin"}),
    "an empty scope": lambda place: place.forged({"scope": ""}),
    "no certificate": lambda place: place.forged({"cnf": {}}),
    "another confirmation": lambda place: place.forged({"cnf": {"jkt": "x"}}),
    "the same digest in base64 with padding": lambda place: place.forged(
        {"cnf": {"x5t#S256": place.principal().credential.x5t_s256 + "="}}
    ),
    "a longer life": lambda place: place.forged({"exp": place.clock.now_ms() // 1000 + MAX_LIFETIME_S + 1}),
    "issued in the future": lambda place: place.forged({"iat": place.clock.now_ms() // 1000 + 1}),
    "a time as text": lambda place: place.forged({"exp": "9999999999"}),
    "a time as a fraction": lambda place: place.forged({"exp": place.clock.now_ms() / 1000 + 10.5}),
    "another epoch": lambda place: place.forged({"epoch": 1}),
    "a member more": lambda place: place.forged({"admin": True}),
    "oversize": lambda place: place.forged({"jti": "x" * doors.MAX_TOKEN_BYTES}),
    "a signature cut off": lambda place: place.issue().rpartition(".")[0] + ".",
    "a byte of the signature": lambda place: _other_at(place.issue(), -20),
    "five parts": lambda place: place.issue() + ".a.b",
    "nothing": lambda _: "",
    "a header nested deeper than the stack": lambda _: (
        base64.urlsafe_b64encode(b"[" * 1_400).rstrip(b"=").decode() + ".e30."
    ),
    "a header that is a list": lambda place: _part([1]) + "." + place.issue().partition(".")[2],
    "no token": lambda _: "Bearer",
    "not ASCII": lambda place: place.issue() + "\u00e9",
}


@pytest.mark.parametrize("what", FORGED)
def test_what_only_looks_like_a_token_is_refused(place: Place, what: str) -> None:
    with pytest.raises(TokenRefused):
        place.narrow(FORGED[what](place))


def test_a_signature_under_the_public_key_is_refused_even_with_the_library_at_its_default(place: Place) -> None:
    """What the pins are for: the library's own list has these algorithms in it."""
    assert {"none", "HS256"} <= set(jwt.algorithms.get_default_algorithms())
