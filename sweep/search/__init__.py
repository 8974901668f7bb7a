"""What to train next, which trials stop, when a sweep is over."""
