"""What the scores of a sweep say, and how sure they are."""
