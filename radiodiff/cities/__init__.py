"""Made-up cities: their plans, how radio waves spread in them, and their likeness to real ones."""
