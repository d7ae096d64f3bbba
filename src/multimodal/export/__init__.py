"""Write the networks of a fitted model for other engines: ONNX Runtime, LiteRT, OpenVINO, TF."""
