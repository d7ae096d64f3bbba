"""Sparse n-gram features, target encoding and random Fourier features of a linear model."""
