"""From whole images to batches of patches."""
