"""Studies of many runs: compare candidates, tune hyperparameters."""
