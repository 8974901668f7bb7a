"""What to train next, who stops, when it is over."""
