"""Pages, plots and cards from the files of a run. No Keras."""
