"""Every family of keras.applications: its JSON and Keras's weights read here, the same predictions? And it trains.

    python tests/parity/applications.py write FOLDER [NAME …]       in the peers' environment
    python -m tests.parity.applications read FOLDER [NAME …]        with the engine: a line a model
    python -m tests.parity.applications train FOLDER [NAME …]       a few steps on random data: losses, time, memory

Weights are random: after a look at the training statistics of the inputs they are moved, the statistics with them, so
that nothing vanishes or explodes on its way through a hundred layers.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZES = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}
"""Pixels that a family takes at least, where that is more than 64."""
SMALLEST, CLASSES, BATCH = 64, 10, 3
NAMES = ("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "ResNet50", "ResNet50V2", "VGG16", "VGG19",
         "DenseNet121", "Xception", "InceptionV3", "InceptionResNetV2", "EfficientNetB0", "EfficientNetV2B0",
         "ConvNeXtTiny", "NASNetMobile")
ALLOWED = 1e-4
"""Of the largest output."""
STEPS, TRAINED, RATE = 10, 2, 0.001


def write(folder: Path, names: tuple[str, ...]) -> int:
    """Definition, weights in both of Keras's files, inputs and outputs of each family."""
    import keras

    for name in names:
        keras.backend.clear_session()
        keras.utils.set_random_seed(7)
        size = SIZES.get(name, SMALLEST)
        model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=CLASSES)
        text = model.to_json()
        random = np.random.default_rng(3)
        inputs = random.uniform(0, 255, (BATCH, size, size, 3)).astype("f4")
        normed = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
        momenta = [layer.momentum for layer in normed]
        for variable in model.variables:
            # Not the layers that hand the pixels on: theirs are means and variances of what they were adapted to.
            spread = {"gamma": (0.7, 1.3), "beta": (-0.2, 0.2), "bias": (-0.2, 0.2)}.get(variable.name)
            if spread:
                variable.assign(random.uniform(*spread, variable.shape))
        for layer in normed:
            layer.momentum = 0.0
        model(inputs, training=True)
        for layer, momentum in zip(normed, momenta, strict=True):
            layer.momentum = momentum
            # Channels that hardly vary would make of a rounding what no float32 agrees on.
            shape, deviation = layer.moving_mean.shape, np.sqrt(layer.moving_variance)
            deviation = np.maximum(deviation, deviation.mean())
            layer.moving_mean.assign(layer.moving_mean + random.uniform(-0.2, 0.2, shape) * deviation)
            layer.moving_variance.assign((random.uniform(0.9, 1.1, shape) * deviation) ** 2)
        head = model.layers[-1]
        if isinstance(head, keras.layers.Dense):  # logits of about 1, that the softmax leaves something to compare
            softmax, head.activation = head.activation, keras.activations.linear
            head.kernel.assign(head.kernel / np.std(model(inputs, training=False)))
            head.activation = softmax
        outputs = np.asarray(model(inputs, training=False))
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
        np.savez(folder / f"{name}.npz", inputs=inputs, outputs=outputs)
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
        print(f"{name}: {model.count_params()} parameters, outputs from {outputs.min():.2g} to {outputs.max():.2g}, "
              f"apart by {outputs.std(0).max():.2g}", flush=True)
    return 0


def _model(folder: Path, name: str) -> Any:
    from engine.definition.model import parse_model

    return parse_model(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))


def read(folder: Path, names: tuple[str, ...]) -> int:
    """Compare; the number of families that differ."""
    from engine import formats, inspect
    from engine.lowering.plan import compile_plan
    from engine.programs import Pipeline, Stored, predict_program
    from engine.runtime.session import Session
    from engine.runtime.threads import Workers
    from engine.variables import fill, initial_weights

    workers, wrong = Workers(2), 0
    print("| model | layers | parameters | validation, s | largest error | of outputs up to |\n"
          "| --- | --- | --- | --- | --- | --- |")
    for name in names:
        with np.load(folder / f"{name}.npz") as arrays:
            inputs, expected = arrays["inputs"], arrays["outputs"]
        began = time.perf_counter()
        model = _model(folder, name)
        inspect.summary(model, BATCH)
        seconds = time.perf_counter() - began
        (source,) = model.inputs
        program = predict_program(model, Pipeline({source: Stored(model.inputs[source], "float32", None)}))
        weights = initial_weights(program.variables, 0)
        found = []
        for file in (f"{name}.keras", f"{name}.weights.h5"):
            for array in weights.values():
                array[...] = np.nan
            fill(weights, formats.read(folder / file).named(variable.name for variable in program.variables))
            session = Session(compile_plan(program.graph, BATCH), weights, {}, workers)
            session.feeds[source][...] = inputs
            session.run(BATCH)
            (output,) = program.graph.outputs
            found.append(session.fetch(output, BATCH).copy())
        same = np.array_equal(found[0], found[1])
        error = float(np.abs(found[0] - expected).max() / np.abs(expected).max())
        wrong += not (error <= ALLOWED and same)
        count = sum(array.size for array in weights.values())
        print(f"| {name} | {len(model.layers)} | {count} | {seconds:.2f} | {error:.1e} | "
              f"{np.abs(expected).max():.2g} |{'' if same else ' the two files differ'}", flush=True)
    workers.close()
    return wrong


def train(folder: Path, names: tuple[str, ...]) -> int:
    """A few steps on one batch of random images; the number of families whose loss does not fall."""
    import resource

    from engine.definition.training import Training
    from engine.kernels import state as run_state
    from engine.lowering.plan import compile_plan
    from engine.options import entry, parse
    from engine.programs import TARGET, Pipeline, Stored, train_program
    from engine.runtime.session import Session, aligned
    from engine.runtime.threads import Workers
    from engine.variables import empty_slots, initial_weights

    workers, wrong = Workers(2), 0
    print(f"| model | plan, s | a step of {TRAINED}, s | arena and weights, MB | losses |\n"
          "| --- | --- | --- | --- | --- |")
    for name in names:
        model = _model(folder, name)
        ((source, shape),), (output,) = model.inputs.items(), model.outputs
        training = Training(
            epochs=1, batch_size=TRAINED, steps_per_epoch=None, validation_steps=None,
            optimizer=parse(entry("optimizer"), {"type": "SGD", "learning_rate": RATE}, ""),
            losses={output: parse(entry("loss"), "sparse_categorical_crossentropy", "")}, loss_weights={output: 1.0},
            metrics={output: ()}, callbacks=(), seed=0, shuffle=False, class_weight=None, several_outputs=False)
        began = time.perf_counter()
        program = train_program(model, training, Pipeline({source: Stored(shape, "float32", None)},
                                                          target=((), "int32")))
        weights = initial_weights(program.variables, 0) | empty_slots(program.slots)
        images = aligned((TRAINED, *shape), "float32")
        images[...] = np.random.default_rng(5).uniform(0, 255, images.shape)
        labels = aligned((TRAINED,), "int32")
        labels[...] = np.arange(TRAINED)
        plan = compile_plan(program.graph, TRAINED)
        session = Session(plan, weights, {source: images, TARGET: labels}, workers)
        records = np.zeros((STEPS, program.width), np.float32)
        order = np.tile(np.arange(TRAINED, dtype=np.int64), STEPS)
        speeds = np.full(STEPS, RATE, np.float32)
        for field, held in ((run_state.ORDER, order), (run_state.RECORDS, records), (run_state.RATES, speeds)):
            session.state[field] = held.ctypes.data
        planned = time.perf_counter() - began
        began = time.perf_counter()
        session.run(TRAINED, STEPS)
        seconds = (time.perf_counter() - began) / STEPS
        losses = records[:, 0]
        good = bool(np.isfinite(losses).all() and losses[-1] < losses[0])
        wrong += not good
        bytes_ = sum(array.nbytes for array in weights.values()) + plan.allocation.arena_bytes
        print(f"| {name} | {planned:.2f} | {seconds:.3f} | {bytes_ / 1e6:.0f} | "
              f"{', '.join(f'{loss:.3f}' for loss in losses)} |{'' if good else ' does not fall'}", flush=True)
    print(f"largest resident memory of all: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")
    workers.close()
    return wrong


if __name__ == "__main__":
    command, target = sys.argv[1], Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    chosen = tuple(sys.argv[3:]) or NAMES
    sys.exit(bool({"write": write, "read": read, "train": train}[command](target, chosen)))
