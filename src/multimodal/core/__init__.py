"""What every part may say: errors, config, presets, the fitted spec, files, signals. No Keras."""
