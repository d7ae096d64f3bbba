"""A run directory: train, resume, load, predict."""
