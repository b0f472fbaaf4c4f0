"""Reports on many runs: a sweep, a search, seeds, any runs beside each other, the index."""
