"""Folds without leaks."""
