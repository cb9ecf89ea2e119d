"""Everything that the service can do, mixed for minutes or hours, and a judgement of what leaks. `python -m soak`."""
