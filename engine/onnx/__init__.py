"""ONNX: models written for ONNX Runtime and the like.

A model's prediction graph is written op by op (`operators.py`), elementwise ops by their scalar expressions
(`expressions.py`). Images are (batch, height, width, channels) as everywhere here: what ONNX wants with channels first
is transposed on the way in and out, which ONNX Runtime's own passes mostly cancel.
"""
