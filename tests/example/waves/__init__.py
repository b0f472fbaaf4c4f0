"""An experiment outside the suite: a network that takes the noise off a wave."""
