"""The model as a service: the Open Inference Protocol over HTTP.

Needs onnxruntime, numpy, msgspec, uvicorn and prometheus-client, nothing of the training side.
"""
