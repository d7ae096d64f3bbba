"""Stack networks with a sparse linear model and boosted trees."""
