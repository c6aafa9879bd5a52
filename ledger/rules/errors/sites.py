"""Changes of a site's configuration: R-481 to R-484."""

from ledger.rules.errors.violated import RuleViolated


class EvseUnknown(RuleViolated):
    """What changes at an EVSE names one of the version that is changed."""

    code = "rules/evse-unknown"
    title = "There is no such EVSE"
    number = "R-481"
    source = "record site.changed"


class ConnectorUnknown(RuleViolated):
    """What changes at a connector names one that the EVSE has."""

    code = "rules/connector-unknown"
    title = "There is no such connector"
    number = "R-482"
    source = "record site.changed"


class EvseCommitted(RuleViolated):
    """An EVSE goes when nothing that was accepted still binds it, and what measures it or proves who it is changes when
    no accepted request runs on it.
    """

    code = "rules/evse-committed"
    title = "An accepted request holds the EVSE"
    number = "R-483"
    source = "records site.configured, site.changed"


class SiteSize(RuleViolated):
    """Changes leave a site 1 to 512 EVSEs, and an EVSE at most 8 connectors; 192 forecasts hold at once, no more."""

    code = "rules/site-size"
    title = "The site would have too few or too many of them"
    number = "R-484"
    source = "records site.changed, site.available"
