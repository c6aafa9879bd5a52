"""Every rule is a class with a stable code and a number, by topic; `docs/reference/rules.md` lists them all."""
