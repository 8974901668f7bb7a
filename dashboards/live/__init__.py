"""The live page: sweeps in a browser while they run, by the report's own functions."""
