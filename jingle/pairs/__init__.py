"""Pairs of songs as cached latents: intake, separation, encoding, the triples of training."""
