"""The client that FO and CSO services use: it signs, retries, and believes only what it has verified."""
