"""Where sweeps, their files and case stores lie."""
