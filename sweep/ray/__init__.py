"""The sweep on Ray: adapters that decide nothing."""
