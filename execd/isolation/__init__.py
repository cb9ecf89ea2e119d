"""What walls are made of: mount plans, namespaces, Landlock, seccomp, cgroups, and the probe of what a machine has."""
