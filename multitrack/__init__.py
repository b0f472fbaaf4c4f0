"""Prediction of a 20-track video edit, from and to Premiere XML."""
