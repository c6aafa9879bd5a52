"""A transparency log: RFC 6962 tree, C2SP tiles, notes, checkpoints, proofs. No I/O, knows nothing of energy."""
