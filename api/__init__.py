"""The service: HTTP, command line, execution. The only place where `pki` and `ledger` meet."""
