"""The invertible map between two temperatures."""
