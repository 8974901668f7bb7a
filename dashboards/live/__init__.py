"""The live page: a home's ledgers in a browser, rendered on the server."""
