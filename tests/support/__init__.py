"""What tests share: clocks, actors, vectors, oracles."""
