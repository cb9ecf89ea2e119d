"""Baponi's API: programs that run once, in threads that keep their files, at /v1/sandbox/execute and beside it."""
