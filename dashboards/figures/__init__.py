"""One figure a file: what it shows, then how it is drawn."""
