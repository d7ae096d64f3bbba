"""Target columns to labels of a head."""
