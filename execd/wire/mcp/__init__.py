"""The Model Context Protocol at /mcp, and over stdio as `execd mcp`: tools, resources, progress, cancellation.

Only `gateway`, `errors` and `routing` may be imported where the package `mcp` is not installed; all else is loaded when
somebody first asks.
"""
