"""Data: files to `tf.data` batches. Knows nothing of models; imports no Keras."""
