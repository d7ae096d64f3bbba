"""Compare candidates and baselines over folds."""
