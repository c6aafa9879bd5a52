"""The development PKI, minted from one reviewed TOML file through `pki`; never packaged, never imported by what ships."""
