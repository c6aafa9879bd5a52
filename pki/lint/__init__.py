"""Rules that a certificate must meet before it is signed for real; `examine` runs them, a finding blocks issuance."""
