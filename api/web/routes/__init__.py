"""One module for each resource; handlers call a flow and shape its answer."""
