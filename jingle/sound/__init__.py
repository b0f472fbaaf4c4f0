"""Sound itself: reading and writing it, its features and spectra."""
