"""The command line; each command prints what it checked, and imports what it needs only when it runs."""
