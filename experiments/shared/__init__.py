"""What the model packages share: pure functions over torch, numpy and matplotlib."""
