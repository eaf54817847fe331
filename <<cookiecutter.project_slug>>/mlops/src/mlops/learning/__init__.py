"""Learning: features, estimators, metrics, and a trained model as ONNX."""
