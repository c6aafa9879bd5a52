"""Auditing a whole log: everything is derived again from the stored bytes, and what differs is named exactly."""
