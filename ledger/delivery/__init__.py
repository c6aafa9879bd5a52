"""What was delivered: meter values, sample trees, baselines, verdicts, settlement. Pure functions over integers."""
