"""One module a service class: from samples and contract terms to an outcome that anyone recomputes bit for bit."""
