"""Simulated charging stations: seeded physics, meters that really sign, and faults on demand."""
