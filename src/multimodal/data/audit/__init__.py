"""The audit: what is wrong with a table, before anything is trained on it."""
