"""How right or wrong predictions are: metrics, intervals, calibration, novelty; on NumPy arrays."""
