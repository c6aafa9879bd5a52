"""The append-only record of flexibility services; knows nothing of HTTP or of certificates' innards."""
