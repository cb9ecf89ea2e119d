"""Kernels: where they come from, how they are talked to, how they are stopped, and how their end is seen."""
