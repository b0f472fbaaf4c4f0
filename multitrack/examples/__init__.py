"""Training examples of edits: windows, tasks, features."""
