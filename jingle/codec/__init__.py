"""The codec between sound and latents: network, training, quality, shipped weights."""
