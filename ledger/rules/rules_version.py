"""The version of these rules, as a log's policy names it (`log.policy-adopted`)."""

RULES_VERSION = "rules/4"
"""Any change that admits or refuses another statement gets another version."""

RULES_KNOWN = frozenset({RULES_VERSION})
"""The versions under which this software can judge a log."""
