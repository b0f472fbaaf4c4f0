"""Sweeps and searches: their jobs, what these may choose, and how they run side by side."""
