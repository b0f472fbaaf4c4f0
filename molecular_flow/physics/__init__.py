"""Molecules: their topology, energy, dynamics and recorded trajectories."""
