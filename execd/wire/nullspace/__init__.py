"""Nullspace's API: sandboxes at /v1/sandboxes, and the same as machines at /v1/machines."""
