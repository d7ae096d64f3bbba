"""Fit a Keras model: fit and resume, checkpoints, devices, progress, the fold models."""
