"""Pretrained models by name, as extractors of features of photos and texts."""
