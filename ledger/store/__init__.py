"""Where the log lies: entries, tiles, heads, checkpoints and idempotency keys, in one transaction a batch."""
