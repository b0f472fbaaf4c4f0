"""A trained run over HTTP: workers, doors, limits, pages."""
