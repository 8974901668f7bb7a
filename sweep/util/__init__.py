"""What every part may use: numbers, addresses, secrets hidden, provenance."""
