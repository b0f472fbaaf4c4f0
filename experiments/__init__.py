"""Trains, watches, reports and measures: the entry points of the suite."""
