"""The layers: gate, cascade, and the published agent as it was."""
