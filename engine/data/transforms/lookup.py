"""StringLookup and IntegerLookup: a text or an integer to its place in a vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import registry
from engine.data.hashes import bucket
from engine.data.npy import Array
from engine.data.transform import Chunks, Part, Sample, State, Transform, as_text
from engine.data.vocabulary import (
    UNPLACED,
    Token,
    Vocabulary,
    counted,
    mode_option,
    padded_option,
    places,
    tokens_option,
    vocabulary_reader,
    weights_option,
)
from engine.errors import DataError
from engine.options import Mismatch, Reader, choice, either, integer, only, option, optional, sequence, text

salt_option = optional(either(sequence(integer(minimum=0), 2, 2), integer(minimum=0)))
"""One or two integers; one is used twice."""
token = integer(minimum=-(2**31))
_text = text(1000)


def pair(salt: Any) -> list[int] | None:
    """A salt as a key."""
    return None if salt is None else [salt, salt] if isinstance(salt, int) else list(salt)


@dataclass(frozen=True, kw_only=True)
class Lookup(Transform):
    """The options that both have."""

    max_tokens: int | None = option(tokens_option, default=None)
    num_oov_indices: int = option(integer(minimum=0, maximum=10_000), default=1, doc="places of unknown values")
    output_mode: str = mode_option()
    pad_to_max_tokens: bool = padded_option()
    idf_weights: tuple[float, ...] | None = option(weights_option, default=None)
    invert: bool = option(only(False, "texts are no input of a model"), default=False)
    sparse: bool = option(only(False, "there are no sparse arrays"), default=False)
    salt: int | tuple[int, int] | None = option(salt_option, default=None, doc="another hash for unknown values")
    vocabulary_size: int | None = option(optional(integer(minimum=1)), default=None,
                                         doc="what Keras counted: without effect")

    def _parts(self) -> tuple[Any, Any, Any]:
        """Vocabulary, mask token and unknown token."""
        raise NotImplementedError

    @property
    def _vocabulary(self) -> Vocabulary:
        given, mask, spare = self._parts()
        return Vocabulary(given=given, weights=self.idf_weights, largest=self.max_tokens, mask=mask, spare=spare,
                          padded=self.pad_to_max_tokens, unknown=self.num_oov_indices, mode=self.output_mode)

    def check(self, pointer: str) -> None:
        """As the vocabulary says."""
        self._vocabulary.check(pointer)

    def resolve(self, part: Part) -> tuple[Part, ...]:
        """A number, or as many as there are places."""
        shape = () if self.output_mode == "int" else (self._vocabulary.width,)
        return (part.then(self, kind="numeric", shape=shape, values=None, encoded=True),)

    def fit(self, part: Part, chunks: Chunks) -> dict[str, Any]:
        """The vocabulary."""
        rows = ([value] for chunk in chunks() for value in self._tokens(chunk))
        return {**self._vocabulary.fit(rows), "salt": pair(self.salt), "hash": getattr(self, "oov_method", "farmhash")}

    @classmethod
    def _tokens(cls, values: Array) -> list[Any]:
        """A column's values as tokens."""
        return list(values)

    @classmethod
    def apply(cls, values: Array, state: State) -> Array:
        """Places (rows,) or (rows, width). Raises DataError for unknown values if they have no place."""
        found = cls._tokens(values)
        place = places(state, _spread(state))
        known = {value: place(value) for value in set(found)}
        if UNPLACED in known.values():
            raise DataError("unknown_category", "expected a value of the vocabulary, as num_oov_indices is 0",
                            where=f"row {next(row for row, value in enumerate(found) if known[value] == UNPLACED)}")
        if state["mode"] != "int":
            return counted([[known[value]] for value in found], state)
        return np.array([known[value] for value in found], np.float64)


def _spread(state: State) -> Callable[[Token], int]:
    salt = tuple(state["salt"]) if state["salt"] else None
    if state["hash"] == "floormod":
        return lambda value: int(value) % int(state["unknown"])
    return lambda value: bucket(str(value), state["unknown"], salt)


@registry.register("transform")
@dataclass(frozen=True, kw_only=True)
class StringLookup(Lookup):
    """A text's place in a vocabulary that is given or learnt from the training split, as Keras 3's layer of this name.

    A missing text is the empty text, thus unknown if it is not the mask token.
    """

    vocabulary: tuple[str, ...] | None = option(vocabulary_reader(Reader(
        lambda value, pointer: value if value == "" else _text(value, pointer), _text.schema)), default=None)
    mask_token: str | None = option(optional(Reader(
        lambda value, pointer: value if value == "" else _text(value, pointer), _text.schema)), default=None)
    oov_token: str = option(_text, default="[UNK]")
    vocabulary_dtype: str = option(only("string", "it is a vocabulary of texts"), default="string")
    encoding: str = option(only("utf-8", "texts are stored so"), default="utf-8")
    oov_method: str = option(only("farmhash", "texts are hashed so"), default="farmhash")

    def _parts(self) -> tuple[Any, Any, Any]:
        return self.vocabulary, self.mask_token, self.oov_token

    def accepts(self, part: Part) -> str | None:
        """Texts as they stand in the dataset."""
        return None if part.textual else "a column of texts, before any other step"

    def resolve(self, part: Part) -> tuple[Part, ...]:
        """Nothing is missing any more."""
        return super().resolve(as_text(part, missing=0))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Learnt, given, masked, and with several places for unknown texts."""
        city = Part(name="c", source="c", kind="text", shape=())
        return (Sample({}, city, ["Rome", "Oslo", "Rome", "Bonn"], ["Oslo", "Rome", "Bern", ""], [2, 1, 0, 0]),
                Sample({"vocabulary": ["a", "b"], "mask_token": "", "output_mode": "one_hot"}, city, [], ["b", "", "x"],
                       [[0, 0, 1], [0, 0, 0], [1, 0, 0]]),
                Sample({"vocabulary": ["a"], "num_oov_indices": 3}, city, [], ["a", "x", "y", "z"], [3, 2, 2, 1]),
                Sample({"vocabulary": ["a"], "num_oov_indices": 3, "salt": [5, 9]}, city, [], ["a", "x", "y", "z"],
                       [3, 1, 2, 2]))


@registry.register("transform")
@dataclass(frozen=True, kw_only=True)
class IntegerLookup(Lookup):
    """An integer's place in a vocabulary that is given or learnt from the training split, as Keras 3's layer of this
    name. A fraction is cut off.
    """

    vocabulary: tuple[int, ...] | None = option(vocabulary_reader(token), default=None)
    mask_token: int | None = option(optional(token), default=None)
    oov_token: int = option(token, default=-1)
    vocabulary_dtype: str = option(only("int64", "it is a vocabulary of integers"), default="int64")
    oov_method: str = option(choice("floormod", "farmhash"), default="floormod",
                             doc="how one of several places for unknown integers is chosen")

    def _parts(self) -> tuple[Any, Any, Any]:
        return self.vocabulary, self.mask_token, self.oov_token

    def check(self, pointer: str) -> None:
        """A salt needs a hash."""
        if self.salt is not None and self.oov_method != "farmhash":
            raise Mismatch(f"{pointer}/oov_method", "farmhash beside a salt", self.oov_method)
        super().check(pointer)

    def accepts(self, part: Part) -> str | None:
        """One number an example, none missing."""
        if part.kind != "numeric" or part.shape:
            return "a column of integers"
        return "a column without missing values (Impute comes first)" if part.missing else None

    def chooses(self, part: Part) -> bool:
        """Integers must be named."""
        return False

    @classmethod
    def _tokens(cls, values: Array) -> list[Any]:
        if not np.isfinite(values).all():
            raise DataError("missing_value", "expected a number in every row",
                            where=f"row {int(np.argmin(np.isfinite(values)))}")
        return [int(value) for value in values]

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        """Learnt, given, and with several places for unknown integers."""
        month = Part(name="m", source="m", kind="numeric", shape=())
        named = {"columns": ["m"]}
        return (Sample(named, month, [5, 1, 5, 7], [7.0, 5.0, 2.0], [2, 1, 0]),
                Sample({**named, "vocabulary": [3], "mask_token": 0, "num_oov_indices": 2}, month, [],
                       [0.0, 3.0, 8.0, 9.0, -1.0], [0, 3, 1, 2, 2]),
                Sample({**named, "vocabulary": [3], "output_mode": "count"}, month, [], [3.0, 8.0], [[0, 1], [1, 0]]))
