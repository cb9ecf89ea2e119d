"""The execd dialect: OpenSandbox's daemon API, and what execd adds to it on the same paths."""
