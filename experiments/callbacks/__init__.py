"""The suite's Lightning callbacks."""
