"""A new piece of music from two: masks over EnCodec latents and a cascade transformer."""
