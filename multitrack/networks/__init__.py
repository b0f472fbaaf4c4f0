"""The layers: one cell an item, and the published additive wiring."""
