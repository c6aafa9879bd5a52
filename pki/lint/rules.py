"""Every rule, each with its citation. They share no code with what builds or checks certificates."""

from pki.lint import form, naming, usages
from pki.lint.subject import Rule

RULES: tuple[Rule, ...] = (*form.RULES, *usages.RULES, *naming.RULES)
