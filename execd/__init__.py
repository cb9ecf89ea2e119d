"""execd runs code for agents: stateful Jupyter kernels in sandboxes, behind one HTTP service."""

__version__ = "0.1.0"
