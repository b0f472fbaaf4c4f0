"""Internal coordinates, and back to positions."""
