"""Who a credential speaks for, what it may be used for, and which flexibility services it names."""

from enum import StrEnum


class Role(StrEnum):
    """The actor roles of the flexibility port; `STATION` is a charging station or EVSE, a thing with a key."""

    FO = "FO"
    CSO = "CSO"
    CSP = "CSP"
    EVU = "EVU"
    SO = "SO"
    CB = "CB"
    AUD = "AUD"
    DPO = "DPO"
    OPS = "OPS"
    STATION = "STATION"


class Purpose(StrEnum):
    """What the key of a credential may do; one certificate, one purpose."""

    TLS_CLIENT = "TLS_CLIENT"
    TLS_SERVER = "TLS_SERVER"
    SIGNING = "SIGNING"
    ATTRIBUTE = "ATTRIBUTE"


class Service(StrEnum):
    """The flexibility-service classes, in the order of the bits of `FlexServices`."""

    SETPOINT = "SETPOINT"
    DROOP = "DROOP"
    PRICE = "PRICE"
    FFR = "FFR"
    RESERVE = "RESERVE"
    V2H = "V2H"
    CONGESTION = "CONGESTION"
    LIMIT_MANDATORY = "LIMIT_MANDATORY"
    EMBEDDED = "EMBEDDED"


class Group(StrEnum):
    """The issuing authorities: one for each role that acts, one for things, one for everyone who runs the house."""

    FO = "FO"
    CSO = "CSO"
    CSP = "CSP"
    EVU = "EVU"
    THING = "THING"
    CB = "CB"
    INFRA = "INFRA"


# ActorRole of ECV-DESS.asn1; a number once given is never given again.
ACTOR_ROLE_NUMBER: dict[Role, int] = {
    Role.FO: 1,
    Role.CSO: 2,
    Role.CSP: 3,
    Role.EVU: 4,
    Role.CB: 5,
    Role.AUD: 6,
    Role.STATION: 7,
    Role.SO: 8,
    Role.DPO: 9,
    Role.OPS: 10,
}
ROLE_OF_NUMBER: dict[int, Role] = {number: role for role, number in ACTOR_ROLE_NUMBER.items()}

SERVICE_BIT: dict[Service, int] = {service: bit for bit, service in enumerate(Service)}

GROUP_OF_ROLE: dict[Role, Group] = {
    Role.FO: Group.FO,
    Role.CSO: Group.CSO,
    Role.CSP: Group.CSP,
    Role.EVU: Group.EVU,
    Role.STATION: Group.THING,
    Role.CB: Group.CB,
    Role.SO: Group.INFRA,
    Role.AUD: Group.INFRA,
    Role.DPO: Group.INFRA,
    Role.OPS: Group.INFRA,
}
