"""Exports: what leaves, to whom, for what purpose, under which policy; provable or unlinkable, never both."""
