"""The object identifiers of ECV-DESS.asn1, and the few standard ones that `cryptography` does not name.

The arc is the documentation enterprise number of RFC 5612. An arc of the form 2.25.<UUID> would not do: several
parsers, Go's crypto/x509 among them, refuse arcs beyond 32 bits.
"""

from cryptography.x509 import ObjectIdentifier

ARC = "1.3.6.1.4.1.32473.63382"


def _under(*numbers: int) -> ObjectIdentifier:
    return ObjectIdentifier(".".join([ARC, *map(str, numbers)]))


FLEX_ROLE = _under(1, 1)  # id-pe-flexRole, always non-critical

# id-kp: what a TLS key is for, by role; always beside clientAuth or serverAuth.
KP_FO_CLIENT = _under(2, 1)
KP_CSO_FCSBE = _under(2, 2)
KP_CSP_CLIENT = _under(2, 3)
KP_EVU = _under(2, 4)
KP_CONFORMITY_AA = _under(2, 5)
KP_LEDGER_CHECKPOINT = _under(2, 6)
KP_EVSE = _under(2, 7)
KP_DPO_CLIENT = _under(2, 9)
KP_OPS_CLIENT = _under(2, 10)
KP_AUD_CLIENT = _under(2, 11)
KP_CB_CLIENT = _under(2, 12)


def signing(actor_role_number: int) -> ObjectIdentifier:
    """id-ks of a role: the key signs statements in that role and does nothing else."""
    return _under(5, actor_role_number)


# id-cp: certificate policies; every certificate below a root carries exactly one of 1..7.
CP_FO = _under(3, 1)
CP_CSO = _under(3, 2)
CP_CSP = _under(3, 3)
CP_EVU = _under(3, 4)
CP_THING = _under(3, 5)
CP_CONFORMITY_BODY = _under(3, 6)
CP_INFRASTRUCTURE = _under(3, 7)
CP_TEST = _under(3, 99)  # beside the other in development certificates; refused in production
ROLE_POLICIES = frozenset(
    {CP_FO, CP_CSO, CP_CSP, CP_EVU, CP_THING, CP_CONFORMITY_BODY, CP_INFRASTRUCTURE},
)

AT_CONFORMITY = _under(4, 1)  # id-at-conformity: ConformityClaims, single value
AT_INSTALLATION = _under(4, 2)  # id-at-installation: InstallationLink, single value
OB_THING_PAIR = _under(6, 1)  # id-ob-thingPair: the object digest is over two thing digests
OB_THING_TYPE = _under(6, 2)  # id-ob-thingType: the object digest is over a type, which has no key

NO_REV_AVAIL = ObjectIdentifier("2.5.29.56")  # RFC 9608
ECDSA_WITH_SHA256 = ObjectIdentifier("1.2.840.10045.4.3.2")
ECDSA_WITH_SHA384 = ObjectIdentifier("1.2.840.10045.4.3.3")
SHA256 = ObjectIdentifier("2.16.840.1.101.3.4.2.1")
