"""One module a use case of the standard; what the service does, whoever asks for it and however."""
