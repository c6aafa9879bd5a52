"""Vault, keys, pseudonyms, erasure, retention and exports: personal data lives here and nowhere else."""
