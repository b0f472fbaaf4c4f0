"""Transport of a molecule's Boltzmann distribution between two temperatures."""
