"""Training, validation and test rows; folds; duplicates and leakage between them."""
