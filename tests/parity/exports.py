"""Every layer's sample and every template, exported and opened by Keras and ONNX Runtime: the same predictions?

    python -m tests.parity.exports write FOLDER      with the engine
    python tests/parity/exports.py open FOLDER       in the peers' environment
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

BATCH, ABSOLUTE = 3, 1e-5
KERAS_FAILS = ("RMSNormalization-2", "RandomCrop-0", "RandomCrop-1", "Equalization-0", "Equalization-1",
               "RandomShear-0")
"""What Keras 3.15 itself cannot compute: RMSNormalization over a dimension in the middle. Outside of training its
RandomCrop leaves pictures as large as they are, whatever shape it says it gives. Its Equalization is no part of a model
(it says that its output is its input), and it does not read what it writes of a RandomShear with a number."""
LARGEST = 2e6
"""Parameters of a template that is still written: files of larger ones say nothing more."""


def documents() -> dict[str, tuple[dict[str, Any], int | None]]:
    """Definitions by name, with the number below which their inputs are whole."""
    from engine import registry

    found: dict[str, tuple[dict[str, Any], int | None]] = {}
    for name, cls in registry.entries("layer").items():
        for place, sample in enumerate(cls.samples):  # type: ignore[attr-defined]
            inputs = {f"x{index}": {"shape": list(shape)} for index, shape in enumerate(sample.inputs)}
            found[f"{name}-{place}"] = ({"inputs": inputs, "layers": [
                {"type": name, "inputs": list(inputs), **sample.options}]}, sample.integers)
    required = {"classes": 5, "features": 30, "vocabulary": 50}
    for name, cls in registry.entries("template").items():
        options = {option: value for option, value in required.items() if option in cls.__dataclass_fields__}  # type: ignore[attr-defined]
        inputs = {source: {"shape": list(shape)} for source, shape in cls.sample}  # type: ignore[attr-defined]
        found[name] = ({"template": name, "inputs": inputs, **options}, None)
    return found


def write(folder: Path) -> None:
    """Weights drawn here, files of every format, inputs and our predictions."""
    from engine import formats
    from engine.definition.model import parse_model
    from engine.errors import WeightsError
    from engine.lowering.plan import compile_plan
    from engine.programs import Pipeline, Stored, predict_program
    from engine.runtime.session import Session
    from engine.runtime.threads import Workers
    from engine.variables import initial_weights

    workers, skipped = Workers(1), {}
    for name, (document, below) in documents().items():
        model = parse_model(document, "")
        program = predict_program(model, Pipeline({key: Stored(shape, "float32", None)
                                                   for key, shape in model.inputs.items()}))
        weights = initial_weights(program.variables, 0)
        if sum(array.size for array in weights.values()) > LARGEST:
            continue
        random = np.random.default_rng(0)
        for array in weights.values():
            array += np.abs(random.standard_normal(array.shape)) / 16
        fed = {key: random.standard_normal((BATCH, *shape)).astype("f4") for key, shape in model.inputs.items()}
        if below is not None or any("embeddings" in key for key in weights):
            fed = {key: np.abs(array).astype("i4").clip(0, below and below - 1).astype("f4")
                   for key, array in fed.items()}
        session = Session(compile_plan(program.graph, BATCH), weights, {}, workers)
        for key, array in fed.items():
            session.feeds[key][...] = array
        session.run(BATCH)
        ours = {f"output {key}": session.fetch(key, BATCH) for key in program.graph.outputs}
        metadata = formats.Metadata(definition=model.to_json(), preprocessing={}, engine_version="1")
        try:
            for format, ending in (("keras", "keras"), ("h5", "weights.h5"), ("onnx", "onnx")):
                formats.weights_format(format).write(folder / f"{name}.{ending}", weights, metadata)
        except WeightsError as error:
            skipped[name] = str(error)
        np.savez(folder / f"{name}.npz", **fed, **ours)  # type: ignore[arg-type]
    workers.close()
    (folder / "skipped.json").write_text(json.dumps(skipped))


def open_(folder: Path) -> int:
    """Load each file, predict, compare; prints what differs, and the sums."""
    import keras
    import onnxruntime

    skipped, faults, worst = json.loads((folder / "skipped.json").read_text()), [], 0.0
    cases = [path.stem for path in sorted(folder.glob("*.npz"))]
    for place, name in enumerate(cases):
        if name in skipped or name in KERAS_FAILS:
            continue
        with np.load(folder / f"{name}.npz") as arrays:
            fed = {key: arrays[key] for key in arrays if not key.startswith("output ")}
            ours = [arrays[key] for key in arrays if key.startswith("output ")]
        try:
            model = keras.models.load_model(folder / f"{name}.keras")
            theirs = model(list(fed.values()) if len(fed) > 1 else next(iter(fed.values())), training=False)
            pairs = list(zip(ours, keras.tree.flatten(theirs), strict=True))
            twin = keras.models.model_from_json(model.to_json())
            twin.load_weights(folder / f"{name}.weights.h5")
            same = all(np.array_equal(a, b) for a, b in zip(model.get_weights(), twin.get_weights(), strict=True))
            session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
            pairs += list(zip(ours, session.run(None, fed), strict=True))
        except Exception as error:  # each case is told, whatever stops it
            faults.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
            continue
        difference = max(float(np.abs(a - np.asarray(b)).max(initial=0) / max(1.0, np.abs(a).max(initial=0)))
                         for a, b in pairs)
        worst = max(worst, difference)
        if difference > ABSOLUTE or not same:
            faults.append(f"{name}: differs by {difference:.1e}, weights {'alike' if same else 'different'}")
        print(f"\r{place + 1} of {len(cases)}", end="", file=sys.stderr)
    print(f"\n{len(cases)} models, {len(faults)} faults, largest difference {worst:.1e}")
    print("\n".join([*faults, *(f"{name}: not exported: {reason}" for name, reason in skipped.items())]))
    return bool(faults)


if __name__ == "__main__":
    command, target = sys.argv[1], Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    if command == "write":
        write(target)
    else:
        sys.exit(open_(target))
