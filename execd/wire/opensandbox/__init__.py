"""OpenSandbox's lifecycle API, at /opensandbox/v1 and at /opensandbox."""
