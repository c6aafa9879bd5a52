"""Witnesses: cosigning other logs' checkpoints, remembering them, and asking others to cosign ours."""
