"""The nouns that execd is about: sandboxes, contexts, executions and their journals."""
