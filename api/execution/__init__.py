"""Talks to charging stations: a protocol-neutral port, OCPP 2.1 behind it, and stations that are simulated."""
