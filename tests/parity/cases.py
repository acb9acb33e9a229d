"""What is compared with Keras, as plain data: read by generate.py (in Keras's environment) and by the tests (in ours).

Inputs and weights are not stored: both sides draw them with `draw` from a name. Only numpy is imported.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

Case = dict[str, Any]


def draw(name: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """float32 between `low` and `high`, a function of name and shape: 24 random bits each, the same everywhere."""
    words = np.random.Generator(np.random.Philox(key=zlib.crc32(name.encode()))).integers(0, 2**24, shape)
    return (low + (high - low) * (words / 2**24)).astype(np.float32)


def draw_integers(name: str, shape: tuple[int, ...], below: int) -> np.ndarray:
    """int32 from 0 to `below` - 1."""
    return np.minimum(draw(name, shape, 0, below).astype(np.int32), below - 1)


def draw_variable(case: str, variable: str, shape: tuple[int, ...]) -> np.ndarray:
    """A layer's variable by its last name: variances are positive, scales near 1, the others around 0."""
    low, high = {"moving_variance": (0.5, 2.0), "variance": (0.5, 2.0), "gamma": (0.5, 1.5)}.get(variable, (-0.5, 0.5))
    return draw(f"{case}/{variable}", shape, low, high)


def draw_weights(case: str, variable: str, shape: tuple[int, ...]) -> np.ndarray:
    """Initial weights of a model in training: a kernel's spread follows from its fans, as GlorotUniform's does."""
    if len(shape) < 2:
        return np.ones(shape, np.float32) if variable in ("gamma", "moving_variance") else np.zeros(shape, np.float32)
    field = int(np.prod(shape[:-2]))
    limit = float(np.sqrt(6.0 / (field * (shape[-2] + shape[-1]))))
    return draw(f"{case}/{variable}", shape, -limit, limit)


# Layers: forward, from given variables -------------------------------------------------------------------------------


def layer(type: str, *shapes: tuple[int, ...], training: bool = False, **options: Any) -> Case:
    return {"layer": {"type": type, **options}, "shapes": list(shapes), "training": training}


ODD, EVEN, DEEP = (2, 7, 6, 3), (2, 8, 8, 4), (1, 6, 7, 6)

LAYERS: dict[str, Case] = {
    "dense": layer("Dense", (4, 6), units=5),
    "dense_no_bias": layer("Dense", (4, 6), units=5, use_bias=False),
    "dense_relu": layer("Dense", (3, 9), units=4, activation="relu"),
    "dense_softmax": layer("Dense", (3, 9), units=4, activation="softmax"),
    "dense_wide": layer("Dense", (2, 33), units=17, activation="tanh"),
    "conv": layer("Conv2D", ODD, filters=4, kernel_size=3),
    "conv_same": layer("Conv2D", ODD, filters=4, kernel_size=3, padding="same"),
    "conv_1x1": layer("Conv2D", ODD, filters=5, kernel_size=1),
    "conv_even_kernel_same": layer("Conv2D", ODD, filters=3, kernel_size=2, padding="same"),
    "conv_oblong_kernel": layer("Conv2D", ODD, filters=3, kernel_size=[3, 2], activation="relu"),
    "conv_5_same": layer("Conv2D", EVEN, filters=2, kernel_size=5, padding="same", use_bias=False),
    "conv_strides_valid": layer("Conv2D", ODD, filters=4, kernel_size=3, strides=2),
    "conv_strides_same_odd": layer("Conv2D", ODD, filters=4, kernel_size=3, strides=2, padding="same"),
    "conv_strides_same_even": layer("Conv2D", EVEN, filters=4, kernel_size=3, strides=2, padding="same"),
    "conv_strides_oblong": layer("Conv2D", ODD, filters=4, kernel_size=3, strides=[2, 1], padding="same"),
    "conv_strides_over_kernel": layer("Conv2D", EVEN, filters=4, kernel_size=1, strides=3, padding="same"),
    "conv_dilation": layer("Conv2D", EVEN, filters=4, kernel_size=3, dilation_rate=2),
    "conv_dilation_same": layer("Conv2D", ODD, filters=4, kernel_size=3, dilation_rate=2, padding="same"),
    "conv_groups": layer("Conv2D", DEEP, filters=4, kernel_size=3, groups=2),
    "conv_groups_3_same": layer("Conv2D", DEEP, filters=9, kernel_size=3, groups=3, padding="same", strides=2),
    "conv_activation": layer("Conv2D", ODD, filters=4, kernel_size=3, activation="gelu"),
    "depthwise": layer("DepthwiseConv2D", ODD, kernel_size=3),
    "depthwise_same": layer("DepthwiseConv2D", ODD, kernel_size=3, padding="same"),
    "depthwise_multiplier": layer("DepthwiseConv2D", ODD, kernel_size=3, depth_multiplier=2, activation="relu"),
    "depthwise_strides_even": layer("DepthwiseConv2D", EVEN, kernel_size=3, strides=2, padding="same"),
    "depthwise_strides_odd": layer("DepthwiseConv2D", ODD, kernel_size=3, strides=2, padding="same", use_bias=False),
    "depthwise_dilation": layer("DepthwiseConv2D", EVEN, kernel_size=3, dilation_rate=2, padding="same"),
    "max_pooling": layer("MaxPooling2D", ODD),
    "max_pooling_same": layer("MaxPooling2D", ODD, pool_size=3, strides=2, padding="same"),
    "max_pooling_oblong": layer("MaxPooling2D", ODD, pool_size=[2, 3], strides=[1, 2]),
    "max_pooling_same_even": layer("MaxPooling2D", EVEN, pool_size=3, padding="same"),
    "average_pooling": layer("AveragePooling2D", ODD, pool_size=2),
    "average_pooling_same": layer("AveragePooling2D", ODD, pool_size=3, strides=2, padding="same"),
    "average_pooling_oblong": layer("AveragePooling2D", ODD, pool_size=[3, 2], strides=1),
    "global_average_pooling": layer("GlobalAveragePooling2D", ODD),
    "global_average_pooling_keepdims": layer("GlobalAveragePooling2D", ODD, keepdims=True),
    "global_max_pooling": layer("GlobalMaxPooling2D", ODD),
    "global_max_pooling_keepdims": layer("GlobalMaxPooling2D", ODD, keepdims=True),
    "zero_padding": layer("ZeroPadding2D", (1, 3, 2, 2)),
    "zero_padding_symmetric": layer("ZeroPadding2D", (1, 3, 2, 2), padding=[2, 1]),
    "zero_padding_four_sides": layer("ZeroPadding2D", (1, 3, 2, 2), padding=[[1, 0], [0, 2]]),
    "flatten": layer("Flatten", (2, 3, 2, 2)),
    "reshape": layer("Reshape", (2, 3, 2, 2), target_shape=[6, 2]),
    "reshape_inferred": layer("Reshape", (2, 3, 2, 2), target_shape=[-1, 4]),
    "dropout_inference": layer("Dropout", (2, 6), rate=0.5),
    "activation_relu": layer("Activation", (3, 7), activation="relu"),
    "relu": layer("ReLU", (3, 7)),
    "relu_options": layer("ReLU", (3, 7), max_value=0.6, negative_slope=0.1, threshold=0.2),
    "softmax": layer("Softmax", (3, 7)),
    "softmax_of_maps": layer("Softmax", (1, 3, 2, 4)),
    "batch_normalization": layer("BatchNormalization", ODD),
    "batch_normalization_of_rows": layer("BatchNormalization", (5, 4), epsilon=0.01),
    "batch_normalization_no_scale": layer("BatchNormalization", (5, 4), scale=False),
    "batch_normalization_no_center": layer("BatchNormalization", (5, 4), center=False),
    "batch_normalization_training": layer("BatchNormalization", ODD, training=True),
    "batch_normalization_training_momentum": layer("BatchNormalization", (5, 4), training=True, momentum=0.7),
    "add": layer("Add", (2, 3, 4), (2, 3, 4)),
    "add_three": layer("Add", (2, 5), (2, 5), (2, 5)),
    "multiply": layer("Multiply", (2, 3, 4), (2, 3, 4)),
    "concatenate": layer("Concatenate", (2, 3), (2, 4), (2, 1)),
    "concatenate_maps": layer("Concatenate", (1, 3, 2, 2), (1, 3, 2, 5)),
    "concatenate_axis": layer("Concatenate", (1, 3, 2, 2), (1, 4, 2, 2), axis=1),
}


# Activations: on a grid ----------------------------------------------------------------------------------------------

ACTIVATIONS: dict[str, Case] = {
    name: {"type": name}
    for name in ("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "sigmoid", "tanh", "softplus", "softmax",
                 "linear", "celu", "exponential", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh",
                 "log_sigmoid", "log_softmax", "mish", "soft_shrink", "softsign", "sparse_plus", "sparse_sigmoid",
                 "squareplus", "tanh_shrink")
}
ACTIVATIONS |= {
    "threshold": {"type": "threshold", "threshold": 0.5, "default_value": -1.5},
    "gelu_approximate": {"type": "gelu", "approximate": True}, "celu_alpha": {"type": "celu", "alpha": 0.4},
    "elu_alpha": {"type": "elu", "alpha": 1.7}, "leaky_relu_slope": {"type": "leaky_relu", "negative_slope": 0.05},
    "relu_options": {"type": "relu", "negative_slope": 0.1, "max_value": 3.0, "threshold": 0.2},
    "hard_shrink_wide": {"type": "hard_shrink", "threshold": 1.5}, "squareplus_b": {"type": "squareplus", "b": 0.5},
    "soft_shrink_wide": {"type": "soft_shrink", "threshold": 1.5},
}


def activation_input() -> np.ndarray:
    """(4, 16): from saturation to saturation, around zero, and both zeros."""
    wide = np.linspace(-30, 30, 32)
    near = np.linspace(-2, 2, 30)
    return np.concatenate([wide, near, [0.0, -0.0]]).astype(np.float32).reshape(4, 16)


# Losses: per example, and their weighted mean ------------------------------------------------------------------------


def loss(target: str, prediction: str, **options: Any) -> Case:
    return {"loss": options, "target": target, "prediction": prediction}


LOSSES: dict[str, Case] = {
    "sparse_logits": loss("labels", "logits", type="SparseCategoricalCrossentropy", from_logits=True),
    "sparse_probabilities": loss("labels", "probabilities", type="SparseCategoricalCrossentropy"),
    "categorical_logits": loss("one_hot", "logits", type="CategoricalCrossentropy", from_logits=True),
    "categorical_probabilities": loss("one_hot", "probabilities", type="CategoricalCrossentropy"),
    "categorical_smoothed": loss("one_hot", "logits", type="CategoricalCrossentropy", from_logits=True,
                                 label_smoothing=0.1),
    "categorical_smoothed_probabilities": loss("one_hot", "probabilities", type="CategoricalCrossentropy",
                                               label_smoothing=0.2),
    "binary_logits": loss("bits", "logit", type="BinaryCrossentropy", from_logits=True),
    "binary_probabilities": loss("bits", "probability", type="BinaryCrossentropy"),
    "binary_smoothed": loss("bits", "logit", type="BinaryCrossentropy", from_logits=True, label_smoothing=0.1),
    "binary_several": loss("several_bits", "several_logits", type="BinaryCrossentropy", from_logits=True),
    "mean_squared_error": loss("numbers", "numbers", type="MeanSquaredError"),
    "mean_absolute_error": loss("numbers", "numbers", type="MeanAbsoluteError"),
    "huber": loss("numbers", "numbers", type="Huber"),
    "huber_delta": loss("numbers", "numbers", type="Huber", delta=0.3),
    "percentage": loss("numbers", "numbers", type="MeanAbsolutePercentageError"),
    "logarithmic": loss("counts", "several_probabilities", type="MeanSquaredLogarithmicError"),
    "log_cosh": loss("numbers", "numbers", type="LogCosh"),
    "poisson": loss("counts", "several_probabilities", type="Poisson"),
    "cosine": loss("numbers", "numbers", type="CosineSimilarity"),
    "maps": loss("maps", "maps", type="MeanSquaredError"),
    "maps_sum": loss("maps", "maps", type="MeanAbsoluteError", reduction="sum"),
    "mean_with_sample_weight": loss("numbers", "numbers", type="LogCosh", reduction="mean_with_sample_weight"),
    "hinge": loss("bits", "logit", type="Hinge"),
    "hinge_signs": loss("signs", "several_logits", type="Hinge"),
    "hinge_numbers": loss("numbers", "numbers", type="Hinge"),
    "squared_hinge": loss("several_bits", "several_logits", type="SquaredHinge"),
    "categorical_hinge": loss("one_hot", "logits", type="CategoricalHinge"),
    "kl_divergence": loss("distribution", "probabilities", type="KLDivergence"),
    "binary_focal": loss("several_bits", "several_probabilities", type="BinaryFocalCrossentropy"),
    "binary_focal_options": loss("several_bits", "several_logits", type="BinaryFocalCrossentropy", from_logits=True,
                                 apply_class_balancing=True, alpha=0.3, gamma=1.5, label_smoothing=0.1),
    "categorical_focal": loss("one_hot", "probabilities", type="CategoricalFocalCrossentropy"),
    "categorical_focal_options": loss("one_hot", "logits", type="CategoricalFocalCrossentropy", from_logits=True,
                                      alpha=0.5, gamma=3.0, label_smoothing=0.1),
    "generalized": loss("labels", "probabilities", type="CategoricalGeneralizedCrossEntropy"),
    "generalized_options": loss("labels", "probabilities", type="CategoricalGeneralizedCrossEntropy", q=0.8),
    "dice": loss("several_bits", "several_probabilities", type="Dice"),
    "dice_axis": loss("map_bits", "map_probabilities", type="Dice", axis=[1, 2]),
    "tversky": loss("several_bits", "several_probabilities", type="Tversky"),
    "tversky_options": loss("map_bits", "map_probabilities", type="Tversky", alpha=0.3, beta=0.8, axis=-1),
    "sparse_ignoring": loss("labels", "logits", type="SparseCategoricalCrossentropy", from_logits=True, ignore_class=2),
    "sparse_sequences": loss("map_codes", "maps", type="SparseCategoricalCrossentropy", from_logits=True),
    "sparse_sequences_ignoring": loss("map_labels", "maps", type="SparseCategoricalCrossentropy", from_logits=True,
                                      ignore_class=-1),
    "categorical_sequences": loss("map_rows", "maps", type="CategoricalCrossentropy", from_logits=True),
}

EXAMPLES, CLASSES, WIDTH = 6, 5, 3
MAP = (4, 3)


def targets(kind: str, name: str, examples: int = EXAMPLES) -> np.ndarray:
    """True values of a kind, as a loss or metric takes them."""
    labels = draw_integers(f"{name}/labels", (examples,), CLASSES)
    return {
        "labels": labels,
        "one_hot": np.eye(CLASSES, dtype=np.float32)[labels],
        "bits": draw_integers(f"{name}/bits", (examples, 1), 2).astype(np.float32),
        "several_bits": draw_integers(f"{name}/several", (examples, WIDTH), 2).astype(np.float32),
        "numbers": draw(f"{name}/true", (examples, WIDTH), -2, 2),
        "counts": draw_integers(f"{name}/counts", (examples, WIDTH), 6).astype(np.float32),
        "signs": 2 * draw_integers(f"{name}/signs", (examples, WIDTH), 2).astype(np.float32) - 1,
        "distribution": _shares(draw(f"{name}/distribution", (examples, CLASSES), 0.01, 1)),
        "maps": draw(f"{name}/true_maps", (examples, *MAP), -2, 2),
        "map_bits": draw_integers(f"{name}/map_bits", (examples, *MAP), 2).astype(np.float32),
        "map_labels": draw_integers(f"{name}/map_labels", (examples, MAP[0]), MAP[1] + 1).astype(np.float32) - 1,
        "map_codes": draw_integers(f"{name}/map_codes", (examples, MAP[0]), MAP[1]).astype(np.float32),
        "map_rows": np.eye(MAP[1], dtype=np.float32)[draw_integers(f"{name}/rows", (examples, MAP[0]), MAP[1])],
        "code": draw_integers(f"{name}/code", (examples, 1), CLASSES).astype(np.float32),
    }[kind]


def _shares(drawn: np.ndarray) -> np.ndarray:
    return (drawn / drawn.sum(-1, keepdims=True)).astype(np.float32)


def predictions(kind: str, name: str, examples: int = EXAMPLES) -> np.ndarray:
    """A model's outputs of a kind."""
    logits = draw(f"{name}/logits", (examples, CLASSES), -3, 3)
    powers = np.exp(logits.astype(np.float64))
    logit = draw(f"{name}/logit", (examples, 1), -4, 4)
    return {
        "logits": logits,
        "probabilities": (powers / powers.sum(-1, keepdims=True)).astype(np.float32),
        "logit": logit,
        "probability": (1 / (1 + np.exp(-logit.astype(np.float64)))).astype(np.float32),
        "several_logits": draw(f"{name}/several_logits", (examples, WIDTH), -4, 4),
        "several_probabilities": draw(f"{name}/several_probabilities", (examples, WIDTH), 0, 1),
        "numbers": draw(f"{name}/predicted", (examples, WIDTH), -2, 2),
        "maps": draw(f"{name}/maps", (examples, *MAP), -3, 3),
        "map_probabilities": draw(f"{name}/map_probabilities", (examples, *MAP), 0, 1),
        "code": draw(f"{name}/codes", (examples, 1), -0.9, CLASSES + 0.5),
        "rounded": draw_integers(f"{name}/rounded", (examples, WIDTH), 2).astype(np.float32),
    }[kind]


def weights(name: str, examples: int = EXAMPLES) -> np.ndarray:
    """Sample weights, one of them 0."""
    drawn = draw(f"{name}/weights", (examples,), 0, 2)
    drawn[1] = 0
    return drawn


# Metrics: over three batches, the last of them smaller ---------------------------------------------------------------

BATCHES = (8, 8, 5)


def metric(target: str, prediction: str, **options: Any) -> Case:
    return {"metric": options, "target": target, "prediction": prediction}


METRICS: dict[str, Case] = {
    "sparse_categorical_accuracy": metric("labels", "logits", type="SparseCategoricalAccuracy"),
    "categorical_accuracy": metric("one_hot", "probabilities", type="CategoricalAccuracy"),
    "binary_accuracy": metric("bits", "probability", type="BinaryAccuracy"),
    "binary_accuracy_threshold": metric("bits", "probability", type="BinaryAccuracy", threshold=0.3),
    "binary_accuracy_several": metric("several_bits", "several_probabilities", type="BinaryAccuracy"),
    "top_k_categorical_accuracy": metric("one_hot", "logits", type="TopKCategoricalAccuracy", k=2),
    "sparse_top_k_categorical_accuracy": metric("labels", "logits", type="SparseTopKCategoricalAccuracy", k=3),
    "precision": metric("bits", "probability", type="Precision"),
    "precision_threshold": metric("bits", "probability", type="Precision", thresholds=0.7),
    "recall": metric("bits", "probability", type="Recall"),
    "recall_threshold": metric("bits", "probability", type="Recall", thresholds=0.2),
    "auc": metric("bits", "probability", type="AUC"),
    "auc_precision_recall": metric("bits", "probability", type="AUC", curve="PR"),
    "auc_few_thresholds": metric("bits", "probability", type="AUC", num_thresholds=10),
    "auc_from_logits": metric("bits", "logit", type="AUC", from_logits=True),
    "auc_of_scores_beyond_one": metric("bits", "logit", type="AUC"),
    "mean_squared_error": metric("numbers", "numbers", type="MeanSquaredError"),
    "mean_absolute_error": metric("numbers", "numbers", type="MeanAbsoluteError"),
    "root_mean_squared_error": metric("numbers", "numbers", type="RootMeanSquaredError"),
    "accuracy": metric("several_bits", "rounded", type="Accuracy"),
    "percentage": metric("numbers", "numbers", type="MeanAbsolutePercentageError"),
    "logarithmic": metric("counts", "several_probabilities", type="MeanSquaredLogarithmicError"),
    "log_cosh": metric("numbers", "numbers", type="LogCoshError"),
    "poisson": metric("counts", "several_probabilities", type="Poisson"),
    "kl_divergence": metric("distribution", "probabilities", type="KLDivergence"),
    "cosine": metric("numbers", "numbers", type="CosineSimilarity"),
    "hinge": metric("bits", "logit", type="Hinge"),
    "squared_hinge": metric("signs", "several_logits", type="SquaredHinge"),
    "categorical_hinge": metric("one_hot", "logits", type="CategoricalHinge"),
    "binary_crossentropy": metric("bits", "probability", type="BinaryCrossentropy"),
    "binary_crossentropy_options": metric("bits", "logit", type="BinaryCrossentropy", from_logits=True,
                                          label_smoothing=0.1),
    "categorical_crossentropy": metric("one_hot", "probabilities", type="CategoricalCrossentropy"),
    "categorical_crossentropy_options": metric("one_hot", "logits", type="CategoricalCrossentropy", from_logits=True,
                                               label_smoothing=0.1),
    "sparse_crossentropy": metric("labels", "probabilities", type="SparseCategoricalCrossentropy"),
    "sparse_crossentropy_ignoring": metric("labels", "logits", type="SparseCategoricalCrossentropy", from_logits=True),
    "mean_of_maps": metric("maps", "maps", type="MeanSquaredError"),
    "true_positives": metric("bits", "probability", type="TruePositives"),
    "true_negatives": metric("bits", "probability", type="TrueNegatives", thresholds=0.3),
    "false_positives": metric("several_bits", "several_probabilities", type="FalsePositives", thresholds=0.6),
    "false_negatives": metric("several_bits", "several_probabilities", type="FalseNegatives"),
    "precision_top_k": metric("one_hot", "probabilities", type="Precision", top_k=2),
    "recall_top_k_of_one_class": metric("one_hot", "probabilities", type="Recall", top_k=3, class_id=1),
    "precision_of_one_class": metric("several_bits", "several_probabilities", type="Precision", class_id=2),
    "auc_gain": metric("bits", "probability", type="AUC", curve="PRGAIN"),
    "auc_thresholds": metric("bits", "probability", type="AUC", thresholds=[0.2, 0.35, 0.8]),
    "auc_multi_label": metric("several_bits", "several_probabilities", type="AUC", multi_label=True),
    "auc_label_weights": metric("several_bits", "several_probabilities", type="AUC", multi_label=True, num_labels=3,
                                label_weights=[0.5, 2.0, 1.0], num_thresholds=20),
    "sensitivity": metric("bits", "probability", type="SensitivityAtSpecificity", specificity=0.5),
    "specificity": metric("bits", "probability", type="SpecificityAtSensitivity", sensitivity=0.6, num_thresholds=50),
    "precision_at_recall": metric("bits", "probability", type="PrecisionAtRecall", recall=0.5),
    "recall_at_precision": metric("several_bits", "several_probabilities", type="RecallAtPrecision", precision=0.6,
                                  class_id=1),
    "f1_micro": metric("one_hot", "probabilities", type="F1Score", average="micro"),
    "f1_macro": metric("several_bits", "several_probabilities", type="F1Score", average="macro", threshold=0.4),
    "f_beta_weighted": metric("one_hot", "probabilities", type="FBetaScore", average="weighted", beta=2.0),
    "r2": metric("numbers", "numbers", type="R2Score"),
    "r2_weighted": metric("numbers", "numbers", type="R2Score", class_aggregation="variance_weighted_average",
                          num_regressors=3),
    "pearson": metric("numbers", "numbers", type="PearsonCorrelation"),
    "pearson_of_maps": metric("maps", "maps", type="PearsonCorrelation", axis=[1, 2]),
    "concordance": metric("numbers", "numbers", type="ConcordanceCorrelation"),
    "iou": metric("code", "code", type="IoU", num_classes=CLASSES, target_class_ids=[0, 2]),
    "iou_of_scores": metric("one_hot", "logits", type="IoU", num_classes=CLASSES, target_class_ids=[1, 3, 4],
                            sparse_y_true=False, sparse_y_pred=False),
    "mean_iou": metric("code", "code", type="MeanIoU", num_classes=CLASSES, ignore_class=1),
    "binary_iou": metric("several_bits", "several_probabilities", type="BinaryIoU", target_class_ids=[1],
                         threshold=0.4),
    "one_hot_iou": metric("one_hot", "probabilities", type="OneHotIoU", num_classes=CLASSES, target_class_ids=[0, 4]),
    "one_hot_mean_iou": metric("one_hot", "logits", type="OneHotMeanIoU", num_classes=CLASSES),
}
WEIGHTS_CUT_OFF = ("IoU", "MeanIoU", "BinaryIoU", "OneHotIoU", "OneHotMeanIoU")
"""Metrics for which Keras cuts weights to integers: only their plain results are compared."""


# Schedules -----------------------------------------------------------------------------------------------------------

SCHEDULE_STEPS = (0, 1, 3, 7, 10, 11, 20, 21, 50, 99, 100, 101, 150, 1000)

SCHEDULES: dict[str, Case] = {
    "exponential": {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 20, "decay_rate": 0.9},
    "exponential_staircase": {"type": "ExponentialDecay", "initial_learning_rate": 0.1, "decay_steps": 20,
                              "decay_rate": 0.9, "staircase": True},
    "cosine": {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 100},
    "cosine_alpha": {"type": "CosineDecay", "initial_learning_rate": 0.1, "decay_steps": 100, "alpha": 0.1},
    "cosine_warmup": {"type": "CosineDecay", "initial_learning_rate": 0.01, "decay_steps": 100, "alpha": 0.1,
                      "warmup_target": 0.1, "warmup_steps": 10},
    "polynomial": {"type": "PolynomialDecay", "initial_learning_rate": 0.1, "decay_steps": 50},
    "polynomial_power": {"type": "PolynomialDecay", "initial_learning_rate": 0.1, "decay_steps": 30,
                         "end_learning_rate": 0.01, "power": 2.0},
    "polynomial_cycle": {"type": "PolynomialDecay", "initial_learning_rate": 0.1, "decay_steps": 20,
                         "end_learning_rate": 0.02, "power": 0.5, "cycle": True},
    "inverse_time": {"type": "InverseTimeDecay", "initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "inverse_time_staircase": {"type": "InverseTimeDecay", "initial_learning_rate": 0.1, "decay_steps": 10,
                               "decay_rate": 0.5, "staircase": True},
    "restarts": {"type": "CosineDecayRestarts", "initial_learning_rate": 0.1, "first_decay_steps": 10},
    "restarts_options": {"type": "CosineDecayRestarts", "initial_learning_rate": 0.1, "first_decay_steps": 7,
                         "t_mul": 1.5, "m_mul": 0.9, "alpha": 0.1},
    "restarts_even": {"type": "CosineDecayRestarts", "initial_learning_rate": 0.1, "first_decay_steps": 20,
                      "t_mul": 1.0, "m_mul": 0.5},
    "piecewise": {"type": "PiecewiseConstantDecay", "boundaries": [10, 20, 100], "values": [1.0, 0.5, 0.25, 0.125]},
}


# Callbacks: the course of a value, and what is done about it ---------------------------------------------------------

COURSES: dict[str, list[float]] = {
    "falling": [3.0, 2.0, 1.5, 1.2, 1.1, 1.05, 1.04, 1.03],
    "flat": [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0],
    "valley": [3.0, 2.0, 1.0, 1.5, 2.0, 2.5, 0.9, 0.95, 1.0, 1.0],
    "noise": [float(value) for value in draw("course", (12,), 0, 1)],
}

CALLBACKS: dict[str, Case] = {
    "stopping": {"type": "EarlyStopping"},
    "stopping_patience": {"type": "EarlyStopping", "patience": 2, "restore_best_weights": True},
    "stopping_delta": {"type": "EarlyStopping", "patience": 1, "min_delta": 0.2, "restore_best_weights": True},
    "stopping_max": {"type": "EarlyStopping", "patience": 2, "mode": "max", "restore_best_weights": True},
    "stopping_baseline": {"type": "EarlyStopping", "patience": 3, "baseline": 1.0, "restore_best_weights": True},
    "stopping_late": {"type": "EarlyStopping", "patience": 1, "start_from_epoch": 3, "restore_best_weights": True},
    "plateau": {"type": "ReduceLROnPlateau", "patience": 2},
    "plateau_cooldown": {"type": "ReduceLROnPlateau", "patience": 1, "factor": 0.5, "cooldown": 2},
    "plateau_floor": {"type": "ReduceLROnPlateau", "patience": 1, "factor": 0.3, "min_lr": 0.005},
    "plateau_delta": {"type": "ReduceLROnPlateau", "patience": 1, "factor": 0.5, "min_delta": 0.3},
}


# Initializers: moments of many values --------------------------------------------------------------------------------

INITIALIZERS = (
    "GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal", "RandomUniform",
    "RandomNormal", "TruncatedNormal", "VarianceScaling", "Orthogonal", "Zeros", "Ones", "Constant", "Identity", "STFT")
INITIALIZER_SHAPES = ((300, 200), (5, 5, 30, 60))
OWN_OPTIONS: dict[str, Case] = {"STFT": {"window": None, "side": "imag"}}
OWN_SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {"Identity": ((300, 200),), "STFT": ((64, 1, 33), (50, 1, 33))}


# Constraints and regularizers: of a given weight ---------------------------------------------------------------------

CONSTRAINTS: dict[str, Case] = {
    "non_neg": {"type": "NonNeg"},
    "max_norm": {"type": "MaxNorm", "max_value": 0.8},
    "max_norm_axes": {"type": "MaxNorm", "max_value": 1.2, "axis": [0, 1, 2]},
    "unit_norm": {"type": "UnitNorm", "axis": -1},
    "min_max_norm": {"type": "MinMaxNorm", "min_value": 0.5, "max_value": 0.7, "rate": 0.6},
}
REGULARIZERS: dict[str, Case] = {
    "l1": {"type": "L1", "l1": 0.03}, "l2": {"type": "L2"}, "l1_l2": {"type": "L1L2", "l1": 0.01, "l2": 0.02},
    "orthogonal": {"type": "OrthogonalRegularizer"},
    "orthogonal_columns": {"type": "OrthogonalRegularizer", "factor": 0.1, "mode": "columns"},
}
CONSTRAINED, REGULARIZED_SHAPE = (3, 2, 4, 5), (6, 5)


# Training: from given weights, in a given order of examples ----------------------------------------------------------

SGD = {"type": "SGD", "learning_rate": 0.05}
SPARSE = {"type": "SparseCategoricalCrossentropy", "from_logits": True}

CNN: list[Case] = [
    {"type": "Conv2D", "filters": 32, "kernel_size": 3, "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Conv2D", "filters": 64, "kernel_size": 3, "activation": "relu"},
    {"type": "MaxPooling2D"},
    {"type": "Flatten"},
    {"type": "Dense", "units": 64, "activation": "relu"},
    {"type": "Dense", "units": 10},
]
DENSE: list[Case] = [
    {"type": "Dense", "units": 64, "activation": "relu"},
    {"type": "Dense", "units": 32, "activation": "relu"},
    {"type": "Dense", "units": 10},
]
SMALL: list[Case] = [{"type": "Dense", "units": 8, "activation": "tanh"}, {"type": "Dense", "units": 4}]
NORMED: list[Case] = [
    {"type": "Conv2D", "filters": 6, "kernel_size": 3, "padding": "same", "use_bias": False},
    {"type": "BatchNormalization", "momentum": 0.9},
    {"type": "ReLU"},
    {"type": "DepthwiseConv2D", "kernel_size": 3, "strides": 2, "padding": "same"},
    {"type": "AveragePooling2D", "pool_size": 2},
    {"type": "Flatten"},
    {"type": "Dense", "units": 4},
]
SEQUENCE: list[Case] = [
    {"type": "Conv1D", "filters": 6, "kernel_size": 3, "padding": "causal", "dilation_rate": 2},
    {"type": "LeakyReLU"},
    {"type": "MaxPooling1D"},
    {"type": "SeparableConv1D", "filters": 8, "kernel_size": 3, "padding": "same", "activation": "mish"},
    {"type": "LayerNormalization"},
    {"type": "Conv1DTranspose", "filters": 4, "kernel_size": 3, "strides": 2, "padding": "same"},
    {"type": "PReLU", "shared_axes": [1]},
    {"type": "GlobalAveragePooling1D"},
    {"type": "Dense", "units": 4},
]
VOLUME: list[Case] = [
    {"type": "Conv3D", "filters": 4, "kernel_size": 2, "activation": "tanh"},
    {"type": "AveragePooling3D", "pool_size": 2},
    {"type": "UpSampling3D"},
    {"type": "Conv3DTranspose", "filters": 3, "kernel_size": 2, "strides": 2},
    {"type": "GlobalAveragePooling3D"},
    {"type": "Dense", "units": 4},
]
DECODED: list[Case] = [
    {"type": "Conv2D", "filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "elu"},
    {"type": "UpSampling2D", "interpolation": "bilinear"},
    {"type": "Conv2DTranspose", "filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"},
    {"type": "Cropping2D", "cropping": 2},
    {"type": "AdaptiveAveragePooling2D", "output_size": [5, 3]},
    {"type": "Permute", "dims": [3, 1, 2]},
    {"type": "EinsumDense", "equation": "abcd,cde->abe", "output_shape": [3, 6], "bias_axes": "e"},
    {"type": "Flatten"},
    {"type": "Dense", "units": 4},
]
REGULARIZED: list[Case] = [
    {"type": "Dense", "units": 8, "activation": "relu", "kernel_regularizer": {"type": "L2", "l2": 0.02},
     "bias_regularizer": {"type": "L1", "l1": 0.05}},
    {"type": "Dense", "units": 4, "kernel_regularizer": {"type": "L1L2", "l1": 0.01, "l2": 0.01}},
]


def training(layers: list[Case], shape: tuple[int, ...], classes: int, optimizer: Case, *, steps: int, batch: int = 32,
             loss: Case = SPARSE, target: str = "labels", weighted: bool = False) -> Case:
    return {"layers": layers, "shape": shape, "classes": classes, "optimizer": optimizer, "steps": steps,
            "batch": batch, "loss": loss, "target": target, "weighted": weighted}


def small(optimizer: Case, **options: Any) -> Case:
    return training(SMALL, (6,), 4, optimizer, steps=12, batch=8, **options)


def longer(optimizer: Case) -> Case:
    return training(SMALL, (6,), 4, optimizer, steps=30, batch=8)


CONSTRAINED_LAYERS: list[Case] = [
    {"type": "Dense", "units": 8, "activation": "relu", "kernel_constraint": {"type": "MaxNorm", "max_value": 0.9},
     "kernel_regularizer": {"type": "L2", "l2": 0.02}},
    {"type": "Dense", "units": 4, "kernel_constraint": {"type": "UnitNorm", "axis": 0},
     "bias_constraint": {"type": "NonNeg"}},
]


TRAININGS: dict[str, Case] = {
    # At higher rates a relu or a maximum that flips by a rounding grows into another course: at 0.05 Keras's own losses
    # differ by 3 % with and without oneDNN, at 0.01 by 0.09 % in float32 and float64. At 0.005 it is 0.001 %.
    "cnn": training(CNN, (32, 32, 3), 10, {"type": "SGD", "learning_rate": 0.005}, steps=50),
    "dense": training(DENSE, (30,), 10, SGD, steps=50),
    "batch_normalization": training(NORMED, (8, 8, 3), 4, SGD, steps=20, batch=16),
    "sequence": training(SEQUENCE, (12, 3), 4, SGD, steps=30, batch=16),
    "volume": training(VOLUME, (5, 5, 5, 2), 4, SGD, steps=30, batch=16),
    "decoded": training(DECODED, (6, 6, 2), 4, SGD, steps=30, batch=16),
    "regularized": training(REGULARIZED, (6,), 4, SGD, steps=12, batch=8),
    "sgd": small({"type": "SGD"}),
    "sgd_momentum": small({"type": "SGD", "learning_rate": 0.1, "momentum": 0.9}),
    "sgd_nesterov": small({"type": "SGD", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    "sgd_weight_decay": small({"type": "SGD", "learning_rate": 0.1, "weight_decay": 0.05}),
    "sgd_clipnorm": small({"type": "SGD", "learning_rate": 0.5, "clipnorm": 0.1}),
    "sgd_clipvalue": small({"type": "SGD", "learning_rate": 0.5, "clipvalue": 0.02}),
    "sgd_global_clipnorm": small({"type": "SGD", "learning_rate": 0.5, "global_clipnorm": 0.1}),
    "rmsprop": small({"type": "RMSprop", "learning_rate": 0.01}),
    "rmsprop_momentum": small({"type": "RMSprop", "learning_rate": 0.01, "rho": 0.8, "momentum": 0.5}),
    "rmsprop_centered": small({"type": "RMSprop", "learning_rate": 0.01, "centered": True}),
    "adam": small({"type": "Adam", "learning_rate": 0.01}),
    "adam_options": small({"type": "Adam", "learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    "adam_global_clipnorm": small({"type": "Adam", "learning_rate": 0.01, "global_clipnorm": 0.05}),
    "adamw": small({"type": "AdamW", "learning_rate": 0.01}),
    "adamw_decay": small({"type": "AdamW", "learning_rate": 0.01, "weight_decay": 0.2}),
    "adagrad": longer({"type": "Adagrad", "learning_rate": 0.05}),
    "adagrad_options": longer({"type": "Adagrad", "learning_rate": 0.05, "initial_accumulator_value": 0.5,
                               "weight_decay": 0.01}),
    "adadelta": longer({"type": "Adadelta", "learning_rate": 1.0}),
    "adamax": longer({"type": "Adamax", "learning_rate": 0.01}),
    "nadam": longer({"type": "Nadam", "learning_rate": 0.01}),
    "lion": longer({"type": "Lion", "learning_rate": 0.003}),
    "ftrl": longer({"type": "Ftrl", "learning_rate": 0.1}),
    "ftrl_options": longer({"type": "Ftrl", "learning_rate": 0.1, "learning_rate_power": -0.7, "beta": 0.1,
                            "l1_regularization_strength": 0.01, "l2_regularization_strength": 0.02,
                            "l2_shrinkage_regularization_strength": 0.01}),
    "lamb": longer({"type": "Lamb", "learning_rate": 0.01, "weight_decay": 0.01}),
    "adafactor": longer({"type": "Adafactor", "learning_rate": 0.05}),
    "adafactor_options": longer({"type": "Adafactor", "learning_rate": 0.02, "relative_step": False,
                                 "clip_threshold": 0.5, "beta_2_decay": -0.6, "weight_decay": 0.02}),
    "muon": longer({"type": "Muon", "learning_rate": 0.02}),
    "muon_options": longer({"type": "Muon", "learning_rate": 0.01, "nesterov": False, "rms_rate": None,
                            "adam_lr_ratio": 0.5, "ns_steps": 3, "weight_decay": None, "exclude_layers": ["bias"]}),
    "sgd_ema": longer({"type": "SGD", "learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.8,
                       "ema_overwrite_frequency": 4}),
    "adam_accumulating": longer({"type": "Adam", "learning_rate": 0.01, "gradient_accumulation_steps": 3,
                                 "weight_decay": 0.1}),
    "rmsprop_both": longer({"type": "RMSprop", "learning_rate": 0.01, "gradient_accumulation_steps": 2, "use_ema": True,
                            "ema_momentum": 0.9, "ema_overwrite_frequency": 3}),
    "constrained": training(CONSTRAINED_LAYERS, (6,), 4, SGD, steps=12, batch=8),
    "adam_cosine": small({"type": "Adam", "learning_rate": SCHEDULES["cosine_warmup"]}),
    "sgd_piecewise": small({"type": "SGD", "learning_rate": {"type": "PiecewiseConstantDecay", "boundaries": [2, 6],
                                                             "values": [0.2, 0.1, 0.05]}}),
    "mean_squared_error": small(SGD, loss={"type": "MeanSquaredError"}, target="numbers"),
    "mean_absolute_error": small(SGD, loss={"type": "MeanAbsoluteError"}, target="numbers"),
    "huber": small(SGD, loss={"type": "Huber", "delta": 0.5}, target="numbers"),
    "categorical_smoothed": small(SGD, loss={"type": "CategoricalCrossentropy", "from_logits": True,
                                             "label_smoothing": 0.1}, target="one_hot"),
    "sample_weights": small(SGD, weighted=True),
    "binary": small(SGD, loss={"type": "BinaryCrossentropy", "from_logits": True}, target="bits"),
}


def _convolution(filters: int, strides: int = 1, **options: Any) -> list[Case]:
    return [{"type": "Conv2D", "filters": filters, "kernel_size": 3, "strides": strides, "padding": "same",
             "use_bias": False, **options}, {"type": "BatchNormalization"}]


RESIDUAL: list[Case] = [
    *_convolution(8), {"type": "ReLU", "name": "stem"},
    *_convolution(8), {"type": "ReLU"}, *_convolution(8), {"type": "Add", "name": "sum", "inputs": ["7", "stem"]},
    {"type": "ReLU", "name": "block"},
    *_convolution(16, 2), {"type": "ReLU"}, *_convolution(16),
    {"type": "Conv2D", "filters": 16, "kernel_size": 1, "strides": 2, "name": "shortcut", "inputs": ["block"]},
    {"type": "Add", "inputs": ["14", "shortcut"]}, {"type": "ReLU"},
    {"type": "GlobalAveragePooling2D"}, {"type": "Dense", "units": 10},
]
PERCEPTRON: list[Case] = [
    {"type": "Dense", "units": 48, "activation": "relu"}, {"type": "Dense", "units": 24, "activation": "tanh"},
    {"type": "Dense", "units": 10},
]
LONG: dict[str, Case] = {
    f"long_{name}_{str(optimizer['type']).lower()}": training(layers, shape, 10, optimizer, steps=200, batch=16)
    for name, layers, shape, rate in (("perceptron", PERCEPTRON, (30,), 0.05), ("cnn", CNN, (14, 14, 3), 0.005),
                                      ("residual", RESIDUAL, (8, 8, 3), 0.02))
    # Keras rounds betas to float32 even in float64: 0.999 makes the first steps' rates wrong by 6e-6, these are exact.
    for optimizer in ({"type": "SGD", "learning_rate": rate},
                      {"type": "Adam", "learning_rate": 0.001, "beta_1": 1 - 2**-3, "beta_2": 1 - 2**-10})
}
"""Courses of 200 steps; beside Keras's losses stands how far rounding takes Keras itself from them."""


def training_data(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (steps, batch, *shape) and targets (steps, batch, …), in the order in which they are trained on."""
    case = (TRAININGS | LONG)[name]
    examples, shape, classes = case["steps"] * case["batch"], tuple(case["shape"]), case["classes"]
    inputs = draw(f"{name}/inputs", (examples, *shape))
    labels = draw_integers(f"{name}/labels", (examples,), classes)
    centres, noise = draw(f"{name}/centres", (classes, classes)), draw(f"{name}/noise", (examples, classes), -0.2, 0.2)
    # Every class has a direction of its own in which its examples lie: there is something to learn.
    inputs += draw(f"{name}/directions", (classes, *shape))[labels]
    target = {
        "labels": labels,
        "one_hot": np.eye(classes, dtype=np.float32)[labels],
        "bits": (np.arange(classes) <= labels[:, None]).astype(np.float32),
        "numbers": centres[labels] + noise,
    }[case["target"]]
    return (inputs.reshape(case["steps"], case["batch"], *shape),
            target.reshape(case["steps"], case["batch"], *target.shape[1:]))


def training_weights(name: str) -> np.ndarray:
    """A weight for each example, (steps, batch); 1 in cases without."""
    case = (TRAININGS | LONG)[name]
    shape = (case["steps"], case["batch"])
    return draw(f"{name}/weights", shape, 0, 2) if case["weighted"] else np.ones(shape, np.float32)


# Whole models, as Keras writes them: answers, and losses of the first steps of SGD ------------------------------------

MODELS: dict[str, Case] = {
    "nested": {"inputs": {"a": (8,), "b": (8,)}, "target": None},
    "siamese": {"inputs": {"a": (6,)}, "target": (2,)},
    "masked": {"inputs": {"a": (5, 3)}, "target": (5, 2)},
    "embedded": {"inputs": {"t": (5,)}, "target": (2,)},
    "operations": {"inputs": {"x": (4, 6)}, "target": (2,)},
}
MODEL_STEPS, MODEL_BATCH, MODEL_RATE = 15, 8, 0.05


def model_data(name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs by name and targets, (steps, batch, …); some steps of sequences are masked, tokens are codes."""
    case, lead = MODELS[name], (MODEL_STEPS, MODEL_BATCH)
    inputs = {key: draw(f"{name}/{key}", (*lead, *shape)) for key, shape in case["inputs"].items()}
    if name == "masked":
        inputs["a"][draw(f"{name}/mask", (*lead, 5), 0, 1) < 0.4] = 0.25
    if name == "embedded":
        inputs["t"] = draw_integers(f"{name}/tokens", (*lead, 5), 10).astype(np.float32)
    return inputs, draw(f"{name}/target", (*lead, *(case["target"] or (1,))))
