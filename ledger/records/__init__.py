"""What can be written down: one file a family of records, one registry, canonical bytes, signed statements, entries."""
