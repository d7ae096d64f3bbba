"""Labels: target columns to what a head learns."""
