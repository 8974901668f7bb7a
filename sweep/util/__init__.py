"""What every part may use: files written whole, secrets hidden, provenance."""
