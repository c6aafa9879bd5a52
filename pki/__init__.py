"""Issue and check X.509 credentials; knows nothing of energy flows, HTTP or the ledger."""
