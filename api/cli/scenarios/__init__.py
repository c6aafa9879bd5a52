"""The applications that the standard's abstract names, each a fleet played through the real service."""
