"""ONNX graphs taken in: what `torch.onnx.export` and tf2onnx write becomes a native definition with its weights.

`file.py` reads a file under limits, `walk.py` goes through its nodes, `constants.py` computes what hangs on constants
alone, `operators.py` and its neighbours say which layers an operator is, and `sketch.py` collects layers and weights.

Images become (height, width, channels). A value knows in which order its dimensions stand here (`flow.py`), so a
Transpose is no layer, and a Permute stands only where an order matters to what reads it.
"""
