"""What turns arrays into predictions where there is no Keras: batches, trees, exported networks."""
