"""The sweep platform: which configuration trains which fold next, and what the evidence says."""
