"""The running service against the raw floor: ratios, measured side by side in one run. `python -m benchmarks`."""
