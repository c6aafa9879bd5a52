"""The development PKI, minted from one reviewed file through `pki`; never packaged, never imported by what ships."""
