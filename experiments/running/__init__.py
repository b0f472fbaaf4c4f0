"""A run from its configuration to its summary, and the jobs of a sweep."""
