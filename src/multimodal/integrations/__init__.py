"""Doors to other libraries: scikit-learn, Ray, MLflow, TensorBoard, the Hugging Face hub."""
