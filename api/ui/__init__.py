"""The auditor's pages: a process of the reader's own that asks a service, verifies what it answers, and shows it."""
