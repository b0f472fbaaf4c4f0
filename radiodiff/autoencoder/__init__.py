"""The autoencoder: its networks, how its latents become a file, and what it is measured by."""
