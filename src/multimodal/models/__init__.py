"""Build, train, stack, average and fine-tune models."""
