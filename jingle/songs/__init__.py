"""Rendered songs with known stems."""
