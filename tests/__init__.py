"""Tests; each named after its claim."""
