"""Fit a Keras model: state, optimizer, checkpoints, engines, k-fold ensembles."""
