"""Looks at the data without training."""
