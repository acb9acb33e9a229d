"""TextVectorization: sentences to places of their words in a vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import registry
from engine.data.npy import Array
from engine.data.transform import Chunks, Part, Sample, State, Transform, as_text
from engine.data.vocabulary import (
    Vocabulary,
    counted,
    mode_option,
    padded_option,
    places,
    tokens_option,
    vocabulary_reader,
    weights_option,
)
from engine.errors import pointer_to
from engine.options import Mismatch, Reader, choice, either, integer, only, option, optional, sequence, text

STANDARDS = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
PUNCTUATION = str.maketrans("", "", "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'")
LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
"""TensorFlow's lower() changes ASCII only."""
SPACE = re.compile(r"[ \t\n\r\v\f]+")
UNKNOWN = "[UNK]"
MAX_LENGTH = 65_536

_word = Reader(lambda value, pointer: value if value == "" else text(1000)(value, pointer), text(1000).schema)
_width = integer(minimum=1, maximum=10)


@registry.register("transform")
@dataclass(frozen=True, kw_only=True)
class TextVectorization(Transform):
    """Texts to tokens and those to numbers, as Keras 3's layer of this name; missing texts are empty.

    The vocabulary is given, or learnt from the training split: the most frequent tokens first. For `int` an example is
    `output_sequence_length` places, 0 after the last token and 1 for unknown ones: what an Embedding takes. In the
    other modes it is a number for each token, the first for unknown ones.
    """

    max_tokens: int | None = option(tokens_option, default=None, doc="places at most, those of padding and unknown "
                                                                     "tokens included")
    standardize: str | None = option(optional(choice(*STANDARDS)), default="lower_and_strip_punctuation")
    split: str | None = option(optional(choice("whitespace", "character")), default="whitespace")
    ngrams: int | tuple[int, ...] | None = option(optional(either(sequence(_width, 1, 10), _width)), default=None,
                                                  doc="n for runs of 1 to n tokens, or a list of lengths")
    output_mode: str = mode_option("int", "multi_hot", "count", "tf_idf")
    output_sequence_length: int | None = option(optional(integer(minimum=1, maximum=MAX_LENGTH)), default=None,
                                                doc="tokens of an example; needed for the mode int, and only there")
    pad_to_max_tokens: bool = padded_option()
    vocabulary: tuple[str, ...] | None = option(vocabulary_reader(_word), default=None)
    idf_weights: tuple[float, ...] | None = option(weights_option, default=None)
    sparse: bool = option(only(False, "there are no sparse arrays"), default=False)
    ragged: bool = option(only(False, "there are no ragged arrays"), default=False)
    encoding: str = option(only("utf-8", "texts are stored so"), default="utf-8")
    vocabulary_size: int | None = option(optional(integer(minimum=1)), default=None,
                                         doc="what Keras counted: without effect")

    @property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(given=self.vocabulary, weights=self.idf_weights, largest=self.max_tokens,
                          padded=self.pad_to_max_tokens, mask="", spare=UNKNOWN, unknown=1, mode=self.output_mode)

    def check(self, pointer: str) -> None:
        """A length for `int` alone."""
        if (self.output_sequence_length is not None) != (self.output_mode == "int"):
            expected = "a number of tokens for the mode int: shapes are known before training" \
                if self.output_mode == "int" else f"none for the mode {self.output_mode}"
            raise Mismatch(pointer_to(pointer, "output_sequence_length"), expected, self.output_sequence_length)
        self._vocabulary.check(pointer)

    def accepts(self, part: Part) -> str | None:
        """Texts as they stand in the dataset."""
        return None if part.textual else "a column of texts, before any other step"

    def resolve(self, part: Part) -> tuple[Part, ...]:
        """As long as the sequence, or as wide as the vocabulary."""
        width = self.output_sequence_length or self._vocabulary.width
        return (as_text(part).then(self, kind="numeric", shape=(width,), values=None, missing=0, encoded=True),)

    def fit(self, part: Part, chunks: Chunks) -> dict[str, Any]:
        """The vocabulary, and how texts are divided."""
        how = {"standardize": self.standardize, "split": self.split, "ngrams": _lengths(self.ngrams)}
        rows = (tokens(text, how) for chunk in chunks() for text in chunk)
        return {**self._vocabulary.fit(rows), **how, "length": self.output_sequence_length}

    @classmethod
    def apply(cls, values: Array, state: State) -> Array:
        """(rows, length) or (rows, width)."""
        place = places(state, lambda token: 0)
        rows = [[place(token) for token in tokens(text, state)] for text in values]
        if state["mode"] != "int":
            return counted(rows, state)
        result = np.zeros((len(rows), state["length"]))
        for row, found in zip(result, rows, strict=True):
            row[:len(found)] = found[:state["length"]]
        return result

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Learnt and given vocabularies, every mode."""
        note = Part(name="n", source="n", kind="text", shape=())
        said = ["The cat, the dog.", "THE end"]
        return (Sample({"output_sequence_length": 4}, note, said, ["the end of", "", "dog dog the cat the"],
                       [[2, 3, 1, 0], [0, 0, 0, 0], [4, 4, 2, 5]]),
                Sample({"output_mode": "multi_hot", "vocabulary": ["the", "cat"]}, note, [], ["cat cat", "a b"],
                       [[0, 0, 1], [1, 0, 0]]),
                Sample({"output_mode": "count", "vocabulary": ["a b", "b"], "ngrams": 2}, note, [], ["a b", "b"],
                       [[1, 1, 1], [0, 0, 1]]),
                Sample({"output_mode": "tf_idf", "vocabulary": ["a"], "idf_weights": [0.5], "max_tokens": 3,
                        "pad_to_max_tokens": True, "split": "character", "standardize": "lower"}, note, [], ["aAx"],
                       [[0.5, 1.0, 0]]))


def _lengths(ngrams: int | tuple[int, ...] | None) -> list[int] | None:
    if isinstance(ngrams, int):
        return list(range(1, ngrams + 1))
    return None if ngrams is None else list(ngrams)


def tokens(text: str, how: Mapping[str, Any]) -> list[str]:
    """A text's tokens in their order; runs of several come after those of fewer."""
    standard = how["standardize"] or ""
    if "lower" in standard:
        text = text.translate(LOWER)
    if "strip" in standard:
        text = text.translate(PUNCTUATION)
    if how["split"] == "whitespace":
        found = [word for word in SPACE.split(text) if word]
    else:
        found = list(text) if how["split"] == "character" else [text]
    return found if how["ngrams"] is None else list(_runs(found, how["ngrams"]))


def _runs(found: list[str], lengths: Iterable[int]) -> Iterable[str]:
    for length in lengths:
        for start in range(len(found) - length + 1):
            yield " ".join(found[start:start + length])
