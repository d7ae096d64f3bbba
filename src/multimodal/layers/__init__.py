"""Reusable Keras layers, the base classes of encoders, fusions and heads, and the registry."""
