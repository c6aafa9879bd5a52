"""What was issued and revoked: `records` is the contract, `sqlite` keeps it."""
