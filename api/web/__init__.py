"""HTTP in, problems out: identity, limits and routes; nothing is decided here."""
