"""What may be written down, when and by whom: pure functions and folds, the same in the service and in an audit."""
