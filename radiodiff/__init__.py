"""RadioDiff VAE-GAN: radio maps of cities as small latents, and back."""
