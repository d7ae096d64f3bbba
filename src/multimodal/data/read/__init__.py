"""Reading: files and frames to a table whose rows know where they come from."""
