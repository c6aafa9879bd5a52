"""The one door to pyasn1: role extension, conformity claims and attribute certificates, as bytes and as values."""
