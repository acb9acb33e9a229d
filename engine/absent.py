"""What Keras has and a definition cannot have here: named, so that whoever asks for it is told why."""

from __future__ import annotations

from collections.abc import Mapping

_CODE = "it would run code, and definitions are data"
_STEP = "texts never enter a model: give it as a step of data.preprocessing with these options"

ABSENT: Mapping[str, Mapping[str, str]] = {
    "layer": {**dict.fromkeys(("Lambda", "TorchModuleWrapper", "FlaxLayer", "JaxLayer", "TFSMLayer"), _CODE),
              **dict.fromkeys(("TextVectorization", "StringLookup"), _STEP),
              "RandomElasticTransform": "Keras computes it for a known batch alone; of what moves pixels there are "
                                        "RandomFlip, RandomCrop, RandomTranslation, RandomRotation, RandomZoom, "
                                        "RandomShear and RandomPerspective",
              "HashedCrossing": "texts never enter a model: give one column that holds both, and Hashing as a step of "
                                "data.preprocessing",
              "MaxNumBoundingBoxes": "boxes around objects are no data that a model takes",
              "Hashing": "it is a step of data.preprocessing, with Keras's own hashes"},
    "loss": {"CTC": "alignments of sequences are not supported",
             "Circle": "it compares the examples of a batch with each other"},
    "metric": {"MeanMetricWrapper": _CODE,
               "Mean": "give the metric of an output", "Sum": "give the metric of an output"},
    "optimizer": {"LossScaleOptimizer": "float32 needs no scaling of the loss: give the optimizer inside of it",
                  "MultiOptimizer": "one optimizer updates all weights"},
}
"""Kind of entry -> name -> reason."""


def why_absent(kind: str, name: str) -> str:
    """` (the reason)` for what is known not to be here, or nothing."""
    reason = ABSENT.get(kind, {}).get(name)
    return f" ({reason})" if reason else ""
