"""Errors of resolving who signed, and of bundles."""

from api.errors import Refused


class SignerUnknown(Refused):
    """No certificate with that thumbprint is known; send it with the statement."""

    code = "api/signer-unknown"
    title = "Signing certificate is not known"


class BundleUnusable(Refused):
    """The input is not a bundle at all: not JSON, not canonical, or not of the shape that the spec describes."""

    code = "api/bundle-unusable"
    title = "Not a bundle"


class AnchorMismatch(Refused):
    """The bundle names other anchors of trust than the policy of whoever verifies it."""

    code = "api/anchor-mismatch"
    title = "Other anchors of trust"


class RootUnknown(Refused):
    """The certificate of a root that the log names is not at hand, so nothing can be said of what rests on it."""

    code = "verify/root-unknown"
    title = "A root's certificate is not at hand"
