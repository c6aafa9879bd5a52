"""The demo day and the development service: a cast, a stage with one real server, scenes, attacks, a report."""
