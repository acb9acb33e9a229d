"""Trained here, opened there: the demo's model of digits and a small residual network, and weights of Keras's back.

    python -m tests.parity.roundtrip train FOLDER      with the engine: trains, exports, keeps probabilities
    python tests/parity/roundtrip.py keras FOLDER      with Keras and ONNX Runtime; Keras writes weights of its own too
    python tests/parity/roundtrip.py torch FOLDER      with PyTorch: the exported tensors in an equivalent nn.Module
    python -m tests.parity.roundtrip back FOLDER       with the engine: the weights that Keras wrote

Each prints the largest difference of a probability, and fails above 1e-5.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ALLOWED = 1e-5
NAMES = ("digits", "residual")
PIXELS = 255
METADATA = "stoker.json"


def probabilities(logits: Any) -> np.ndarray:
    """In float64, from logits."""
    logits = np.asarray(logits, np.float64)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def residual() -> list[dict[str, Any]]:
    """Layers of a network of two residual blocks; the last gives logits."""

    def conv(name: str, source: str, filters: int, size: int = 3) -> list[dict[str, Any]]:
        return [{"type": "Conv2D", "name": name, "inputs": [source], "filters": filters, "kernel_size": size,
                 "padding": "same", "use_bias": False},
                {"type": "BatchNormalization", "name": f"{name}_bn", "inputs": [name], "momentum": 0.9}]

    def relu(name: str, source: str) -> dict[str, Any]:
        return {"type": "ReLU", "name": name, "inputs": [source]}

    return [*conv("stem", "image", 16), relu("r0", "stem_bn"),
            *conv("a1", "r0", 16), relu("r1", "a1_bn"), *conv("a2", "r1", 16),
            {"type": "Add", "name": "sum_a", "inputs": ["a2_bn", "r0"]}, relu("r2", "sum_a"),
            {"type": "MaxPooling2D", "name": "pool", "inputs": ["r2"]},
            *conv("b1", "pool", 24), relu("r3", "b1_bn"), *conv("b2", "r3", 24), *conv("b0", "pool", 24, 1),
            {"type": "Add", "name": "sum_b", "inputs": ["b2_bn", "b0_bn"]}, relu("r4", "sum_b"),
            {"type": "GlobalAveragePooling2D", "name": "gap", "inputs": ["r4"]},
            {"type": "Dense", "name": "head", "inputs": ["gap"], "units": 10}]


def train(folder: Path) -> list[float]:
    """Train both models, and export them in every format."""
    from sklearn.datasets import load_digits

    import engine
    from engine import formats
    from tests.engine import training

    sys.path.insert(0, str(Path(__file__).parent.parent.parent / "examples"))
    from demo import DIGITS

    digits = load_digits()
    images = np.round(digits.images[..., None] * (PIXELS / 16)).astype(np.uint8)
    for name, layers in (("digits", DIGITS["model"]["layers"]), ("residual", residual())):
        with tempfile.TemporaryDirectory() as scratch:
            data = training.dataset(Path(scratch), image=images, label=digits.target)
            spec = training.job(data, layers, inputs={"image": {"shape": [8, 8, 1]}}, threads=2, epochs=5,
                                batch_size=32, data_block={"preprocessing": DIGITS["data"]["preprocessing"]},
                                optimizer=DIGITS["training"]["optimizer"])
            trained = training.train(spec, data, Path(scratch))
            weights = folder / f"{name}.safetensors"
            weights.write_bytes(trained.bytes)
        for format, ending in (("keras", "keras"), ("h5", "weights.h5"), ("onnx", "onnx")):
            formats.export_weights(weights, format, folder / f"{name}.{ending}")
        formats.export_weights(weights, "npz", folder / f"{name}.torch.npz", layout="torch")
        shown = images[:300]
        ours = probabilities(engine.load(weights).predict(shown))
        right = float((ours.argmax(1) == digits.target[:300]).mean())
        print(f"{name}: accuracy {right:.3f} on 300 pictures it has partly seen")
        np.savez(folder / f"{name}.npz", raw=shown, prepared=(shown * np.float32(1 / PIXELS)).astype("f4"), ours=ours)
    return []


def keras(folder: Path) -> list[float]:
    """Keras and ONNX Runtime beside ours; then Keras moves every weight, saves, and keeps what it predicts."""
    import keras
    import onnxruntime

    found = []
    for name in NAMES:
        with np.load(folder / f"{name}.npz") as arrays:
            x, ours = arrays["prepared"], arrays["ours"]
        model = keras.models.load_model(folder / f"{name}.keras")
        twin = keras.models.model_from_json(model.to_json())
        twin.load_weights(folder / f"{name}.weights.h5")
        session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
        answers = {"Keras, .keras": model.predict(x, verbose=0), "Keras, .weights.h5": twin.predict(x, verbose=0),
                   "ONNX Runtime": session.run(None, {session.get_inputs()[0].name: x})[0]}
        found += [said(name, there, probabilities(answer), ours) for there, answer in answers.items()]
        random = np.random.default_rng(1)
        model.set_weights([array * random.uniform(0.9, 1.1, array.shape) for array in model.get_weights()])
        model.save(folder / f"{name}.back.keras")
        model.save_weights(folder / f"{name}.back.weights.h5")
        np.save(folder / f"{name}.back.npy", probabilities(model.predict(x, verbose=0)))
    return found


def torch(folder: Path) -> list[float]:
    """Equivalent modules, by hand, with the tensors loaded by name."""
    import torch
    from torch import nn

    class Digits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv2d, self.conv2d_1 = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 32, 3)
            self.dense, self.dense_1 = nn.Linear(288, 64), nn.Linear(64, 10)

        def forward(self, x: Any) -> Any:
            x = nn.functional.max_pool2d(self.conv2d_1(self.conv2d(x).relu()).relu(), 2)
            return self.dense_1(self.dense(x.flatten(1)).relu())

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, inner, outer, size in (("stem", 1, 16, 3), ("a1", 16, 16, 3), ("a2", 16, 16, 3),
                                             ("b1", 16, 24, 3), ("b2", 24, 24, 3), ("b0", 16, 24, 1)):
                setattr(self, name, nn.Conv2d(inner, outer, size, padding=size // 2, bias=False))
                setattr(self, f"{name}_bn", nn.BatchNorm2d(outer, eps=1e-3))
            self.head = nn.Linear(24, 10)

        def normed(self, name: str, x: Any) -> Any:
            return getattr(self, f"{name}_bn")(getattr(self, name)(x))

        def forward(self, x: Any) -> Any:
            x = self.normed("stem", x).relu()
            x = (self.normed("a2", self.normed("a1", x).relu()) + x).relu()
            x = nn.functional.max_pool2d(x, 2)
            x = (self.normed("b2", self.normed("b1", x).relu()) + self.normed("b0", x)).relu()
            return self.head(x.mean((2, 3)))

    found = []
    for name, module in (("digits", Digits()), ("residual", Residual())):
        with np.load(folder / f"{name}.npz") as arrays, np.load(folder / f"{name}.torch.npz") as held:
            x, ours = arrays["prepared"], arrays["ours"]
            state = {key: torch.from_numpy(np.array(held[key])) for key in held if key != METADATA}
        module.load_state_dict(state)
        with torch.no_grad():
            answer = module.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
        found.append(said(name, "PyTorch", probabilities(answer), ours))
    return found


def back(folder: Path) -> list[float]:
    """What Keras wrote, in our model: the same as Keras predicted."""
    import engine
    from engine import formats
    from engine.definition.model import parse_model
    from engine.graph.build import forward_graph

    found = []
    for name in NAMES:
        own = formats.read(folder / f"{name}.safetensors")
        assert own.metadata is not None
        variables = [variable.name for variable in
                     forward_graph(parse_model(own.metadata.definition, ""))[1].variables]
        with np.load(folder / f"{name}.npz") as arrays:
            raw = arrays["raw"]
        expected = np.load(folder / f"{name}.back.npy")
        for ending in ("back.keras", "back.weights.h5"):
            tensors = formats.read(folder / f"{name}.{ending}").named(variables)
            again = folder / f"{name}.again.safetensors"
            formats.weights_format("safetensors").write(again, tensors, own.metadata)
            answer = probabilities(engine.load(again).predict(raw))
            found.append(said(name, f"from Keras, {ending.removeprefix('back')}", answer, expected))
    return found


def said(name: str, there: str, received: np.ndarray, expected: np.ndarray) -> float:
    """A line of the table; the largest difference."""
    difference = float(np.abs(received - expected).max())
    print(f"| {name} | {there} | {difference:.1e} |", flush=True)
    return difference


if __name__ == "__main__":
    command, target = sys.argv[1], Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    sys.exit(any(not difference <= ALLOWED
                 for difference in {"train": train, "keras": keras, "torch": torch, "back": back}[command](target)))
