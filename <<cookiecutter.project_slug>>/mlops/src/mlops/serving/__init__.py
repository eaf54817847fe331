"""The model as a service: the Open Inference Protocol over HTTP.

Needs onnxruntime, numpy, msgspec, httptools, uvloop and prometheus-client: nothing of training.
"""
