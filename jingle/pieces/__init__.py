"""A whole piece: cut into windows, joined again, heard."""
