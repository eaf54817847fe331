"""What params.yaml may say of each target."""

from mlops.config.export import C, Coreml, Int8, Tflite

SETTINGS = {
    "c": C(),
    "coreml": Coreml(),
    "onnx-int8": Int8(metric_loss=0.1),
    "tflite": Tflite(),
    "tflite-int8": Int8(metric_loss=0.1),
}
