"""From files to a case store."""
