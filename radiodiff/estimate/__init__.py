"""Radio maps of places that nobody has measured: from a plan, a transmitter, and a few samples."""
