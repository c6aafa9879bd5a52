"""Where `pki` and `ledger` meet without I/O: who signed what, the credential check, bundles; base install only."""
