"""execd's Python kernel: ipykernel with what a service needs, and nothing of execd imported.

It runs in whichever environment the user's code runs in, so ipykernel is all that it may count on. The name is
one that no user module has: what the kernel imports stays in sys.modules, in front of the user's own files.
"""
