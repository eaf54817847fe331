"""The model for other machines than a server: one module a target, all made from the ONNX model."""
