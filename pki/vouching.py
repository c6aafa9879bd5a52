"""A root's word for another root, in one named log: that it counts there from a time on, and that one counts no more.

There are no cross-certificates (docs/adr/0015). What binds the next root to the one before is a sentence that both of
their keys sign in a ceremony: the old key, that it vouches for the new root; the new key, that it follows and that
somebody has it. The sentence names the log and the time, so it says nothing anywhere else. A root is ended by the
word of one that stays.
"""

import hashlib
from typing import Annotated, Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from pki import keys, path, tbs, trust
from pki.errors import Refused
from pki.lint.examine import LintFailed, examine
from pki.lint.subject import Examined

MAX_PAPER_BYTES: Final = 16_384
MAX_ROOT_BYTES: Final = 4_096
MAX_SIGNATURE_BYTES: Final = 256
MAX_LOG_NAME: Final = 128
MAX_TIME_MS: Final = 2**48
_ADOPTION: Final = "flexledger root adoption v1"
_RETIREMENT: Final = "flexledger root retirement v1"

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
LogName = Annotated[str, Meta(min_length=1, max_length=MAX_LOG_NAME, pattern=r"^[!-~]+$(?!\n)")]
AtMs = Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]
Signature = Annotated[bytes, Meta(min_length=1, max_length=MAX_SIGNATURE_BYTES)]


class Unvouched(Refused):
    """No key that counts signed for this root, this log and this time."""

    code = "pki/unvouched"
    title = "No root vouches for this"


class UnfitRoot(Refused):
    """The certificate is no root that could follow: not of the profile of roots, or of another kind of hierarchy."""

    code = "pki/unfit-root"
    title = "Not a root that can follow"


class BadPaper(Refused):
    """The file is not a root's word, or it is too long."""

    code = "pki/bad-paper"
    title = "Not a paper about a root"


class Adoption(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="adopt-root"
):
    """`root` (DER) counts in `log` from `from_ms` on, by the word of the root `by` and by its own."""

    log: LogName
    root: Annotated[bytes, Meta(min_length=1, max_length=MAX_ROOT_BYTES)]
    by: Digest
    """SHA-256 of the to-be-signed part of the root that vouches."""
    from_ms: AtMs
    signature: Signature
    own_signature: Signature


class Retirement(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="act", tag="retire-root"
):
    """`root` counts in `log` until `until_ms`, exclusive, by the word of the root `by`, which stays."""

    log: LogName
    root: Digest
    by: Digest
    until_ms: AtMs
    signature: Signature


Paper = Adoption | Retirement


def digest(root: x509.Certificate) -> str:
    """What a root is known by: hex SHA-256 of what was signed, for the bytes of a signature have a twin."""
    return hashlib.sha256(root.tbs_certificate_bytes).hexdigest()


def adoption_words(log: str, root: str, by: str, from_ms: int) -> bytes:
    """What both keys sign: five lines of ASCII; roots are named by `digest`."""
    return f"{_ADOPTION}\n{log}\n{root}\n{by}\n{from_ms}\n".encode("ascii")


def retirement_words(log: str, root: str, by: str, until_ms: int) -> bytes:
    """What the root that stays signs, in the same form."""
    return f"{_RETIREMENT}\n{log}\n{root}\n{by}\n{until_ms}\n".encode("ascii")


def adopt(
    log: str,
    root: x509.Certificate,
    signer: keys.Signer,
    *,
    by: x509.Certificate,
    by_signer: keys.Signer,
    from_ms: int,
    now_ms: int,
) -> Adoption:
    """The paper by which `log` takes `root` over, checked as whoever gets it will. Raises `keys.KeyOffline`."""
    words = adoption_words(log, digest(root), digest(by), from_ms)
    paper = Adoption(
        log=log,
        root=trust.encoded(root),
        by=digest(by),
        from_ms=from_ms,
        signature=_sign(by_signer, words),
        own_signature=_sign(signer, words),
    )
    require_adopted(paper, by=by, at_ms=now_ms)
    return paper


def retire(
    log: str, root: x509.Certificate, *, by: x509.Certificate, by_signer: keys.Signer, until_ms: int
) -> Retirement:
    """The paper by which `root` ends in `log`. Raises `keys.KeyOffline`, Unvouched for a root that ends itself."""
    words = retirement_words(log, digest(root), digest(by), until_ms)
    paper = Retirement(log=log, root=digest(root), by=digest(by), until_ms=until_ms, signature=_sign(by_signer, words))
    require_retired(paper, by=by)
    return paper


def require_adopted(paper: Adoption, *, by: x509.Certificate, at_ms: int) -> x509.Certificate:
    """The next root: of the profile of roots, of the same kind as `by`, vouched for by both keys while `by` was valid.

    Raises UnfitRoot, Unvouched, `path.Expired`, `path.NotYetValid`, or what reading a certificate raises. Whether `by`
    counts in the log is for its rules to say.
    """
    root = path.load(paper.root)
    _require_fit(root, by)
    path.require_window(by, at_ms)
    path.require_window(root, paper.from_ms)
    words = adoption_words(paper.log, digest(root), digest(by), paper.from_ms)
    if paper.by != digest(by):
        raise Unvouched("another root vouches", expected=digest(by), found=paper.by)
    _require_signed(by, words, paper.signature, "the root that vouches")
    _require_signed(root, words, paper.own_signature, "the next root")
    return root


def require_retired(paper: Retirement, *, by: x509.Certificate) -> None:
    """Passes if the key of `by`, another root than the one that ends, says so; or Unvouched."""
    if paper.by != digest(by):
        raise Unvouched("another root says so", expected=digest(by), found=paper.by)
    if paper.root == paper.by:
        raise Unvouched("a root does not end itself", expected="the word of a root that stays", found=paper.by)
    words = retirement_words(paper.log, paper.root, paper.by, paper.until_ms)
    _require_signed(by, words, paper.signature, "the root that stays")


def encode(paper: Paper) -> bytes:
    """JSON, one member a line, for people to look at before they hand it on."""
    return msgspec.json.format(msgspec.json.encode(paper), indent=2) + b"\n"


def parse(data: bytes) -> Paper:
    """The paper in a file, of which nothing is proven yet; or BadPaper."""
    if len(data) > MAX_PAPER_BYTES:
        raise BadPaper("the file is too large", expected=f"at most {MAX_PAPER_BYTES} bytes", found=len(data))
    try:
        found: Paper = msgspec.json.decode(data, type=Adoption | Retirement)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fault = str(error).partition(", got ")[0] if isinstance(error, msgspec.ValidationError) else "not JSON"
        raise BadPaper("not the word of a root", expected="what a ceremony wrote", found=fault) from error
    return found


def _require_fit(root: x509.Certificate, by: x509.Certificate) -> None:
    trust.require_root(root)
    development = trust.is_marked(root)
    if development != trust.is_marked(by):
        wanted, found = (_kind(one) for one in (not development, development))
        raise UnfitRoot("a root of another kind of hierarchy", expected=wanted, found=found)
    try:
        examine(Examined(root, None, None, development))
    except LintFailed as error:
        raise UnfitRoot("not of the profile of roots", found=error.detail) from error
    except (x509.ExtensionNotFound, ValueError, TypeError) as error:
        # Our own certificates have what every rule looks at; one that somebody hands in may lack anything.
        raise UnfitRoot("not of the profile of roots", found="what roots have is missing") from error


def _kind(development: bool) -> str:
    return "a development root" if development else "a root that is not for development"


def _sign(signer: keys.Signer, words: bytes) -> bytes:
    keys.require_online(signer)
    return signer.sign(words, ec.ECDSA(tbs.digest_for(signer)))


def _require_signed(root: x509.Certificate, words: bytes, signature: bytes, who: str) -> None:
    key = keys.require_authority_key(keys.key_of(root))
    try:
        key.verify(signature, words, ec.ECDSA(tbs.digest_for(key)))
    except InvalidSignature as error:
        raise Unvouched(f"not signed by the key of {who}", expected=digest(root)) from error
