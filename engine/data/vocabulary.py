"""Vocabularies: learnt from tokens, and tokens as their places or as counts of places, as Keras 3's lookup layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.npy import Array
from engine.options import Mismatch, Reader, boolean, choice, integer, number, option, optional, sequence

MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
MAX_TOKENS = 65_536
IGNORED, UNPLACED = -1, -2
"""The mask token where it has no place, and an unknown token where none has one."""

Token = str | int
tokens_option = optional(integer(minimum=2, maximum=MAX_TOKENS))
weights_option = optional(sequence(number(), 1, MAX_TOKENS))


def vocabulary_reader(item: Reader) -> Reader:
    """A list of different tokens, or null for one that is learnt from the training split."""
    several = sequence(item, 1, MAX_TOKENS)

    def read(value: Any, pointer: str) -> Any:
        if value is None:
            return None
        found = several(value, pointer)
        if len(set(found)) < len(found):
            raise Mismatch(pointer, "different tokens", next(token for token, count in Counter(found).items()
                                                             if count > 1))
        return found

    return Reader(read, {**several.schema, "nullable": True})


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """What decides a token's place: the mask token (0, only for `int`), `unknown` places, then the vocabulary."""

    given: Sequence[Token] | None
    weights: Sequence[float] | None
    largest: int | None
    """Places at most."""
    padded: bool
    mask: Token | None
    spare: Token | None
    """The token that stands for unknown ones."""
    unknown: int
    mode: str

    @property
    def first_unknown(self) -> int:
        """The place of the first unknown token."""
        return int(self.mask is not None and self.mode == "int")

    @property
    def start(self) -> int:
        """The place of the vocabulary's first token."""
        return self.first_unknown + self.unknown

    @property
    def own(self) -> tuple[Token, ...] | None:
        """The given vocabulary without the special tokens that Keras lists before it."""
        if self.given is None:
            return None
        given = tuple(self.given)
        special = (*[self.mask] * self.first_unknown, *[self.spare] * self.unknown)
        return given[len(special):] if special and given[:len(special)] == special else given

    def check(self, pointer: str) -> None:
        """Options that need each other. Raises Mismatch."""
        own, least = self.own, self.start + 1
        if own is not None:
            if self.mask is not None and self.mask in own:
                raise Mismatch(f"{pointer}/vocabulary", "the mask token at its beginning, or not at all", self.mask)
            least = self.start + len(own)
        if self.largest is not None and self.largest < least:
            raise Mismatch(f"{pointer}/max_tokens", f"at least {least}", self.largest)
        if self.padded and self.largest is None:
            raise Mismatch(f"{pointer}/max_tokens", "a number beside pad_to_max_tokens", None)
        if self.mode != "int" and own is None and not self.padded:
            raise Mismatch(f"{pointer}/pad_to_max_tokens", f"true beside max_tokens for {self.mode}: how many tokens "
                           "there are is not known before training", self.padded)
        wanted = self.mode == "tf_idf" and self.given is not None
        if (self.weights is not None) != wanted or (self.weights is not None and self.given is not None
                                                    and len(self.weights) != len(self.given)):
            raise Mismatch(f"{pointer}/idf_weights", "a number for each token of the vocabulary, and only for tf_idf",
                           None if self.weights is None else f"{len(self.weights)} numbers")

    @property
    def width(self) -> int:
        """Numbers that an example becomes in a mode other than `int`."""
        if self.padded and self.largest is not None:
            return self.largest
        return self.start + len(self.own or ())

    def fit(self, rows: Iterable[Sequence[Token]]) -> dict[str, Any]:
        """What `encode` needs: the tokens, and for `tf_idf` a weight for each place.

        Learnt tokens come by how often they occur, equally frequent ones in descending order.
        """
        own, weights = self.own, self.weights
        if own is None:
            counts: Counter[Token] = Counter()
            documents: Counter[Token] = Counter()
            seen = 0
            for row in rows:
                counts.update(row)
                documents.update(set(row))
                seen += 1
            for special in (self.mask, self.spare):
                counts.pop(special, None)  # type: ignore[arg-type]
            ordered = sorted(counts, key=lambda token: (counts[token], _order(token)), reverse=True)
            own = tuple(ordered[:(MAX_TOKENS if self.largest is None else self.largest) - self.start])
            weights = [float(np.log1p(seen / (1 + documents[token]))) for token in own]
        state: dict[str, Any] = {"tokens": list(own), "mask": self.mask, "unknown": self.unknown, "start": self.start,
                 "mode": self.mode, "width": self.width}
        if self.mode == "tf_idf" and weights is not None:
            front = self.start + len(own) - len(weights)
            mean = float(np.mean(weights)) if len(weights) else 0.0
            state["weights"] = [mean] * front + list(weights) + [0.0] * (self.width - front - len(weights))
        return state


def _order(token: Token) -> bytes | int:
    return token.encode() if isinstance(token, str) else token


def places(state: Mapping[str, Any], spread: Callable[[Token], int]) -> Callable[[Token], int]:
    """The place of a token; `spread` chooses among several for unknown ones."""
    start, unknown, mask = state["start"], state["unknown"], state["mask"]
    known = {token: start + place for place, token in enumerate(state["tokens"])}
    if mask is not None:
        known[mask] = 0 if state["mode"] == "int" else IGNORED

    def place(token: Token) -> int:
        found: int | None = known.get(token)
        if found is not None:
            return found
        return start - unknown + (spread(token) if unknown > 1 else 0) if unknown else UNPLACED

    return place


def counted(rows: Sequence[Sequence[int]], state: Mapping[str, Any]) -> Array:
    """Places of each row as zeros and ones, counts, or weighted counts: (rows, width)."""
    width = state["width"]
    result = np.zeros((len(rows), width))
    for row, found in zip(result, rows, strict=True):
        inside = [place for place in found if 0 <= place < width]
        np.add.at(row, inside, 1.0)
    if state["mode"] in ("one_hot", "multi_hot"):
        return np.minimum(result, 1.0)
    return result * np.asarray(state["weights"]) if state["mode"] == "tf_idf" else result


def padded_option() -> Any:
    """The option that three layers have."""
    return option(boolean, default=False, doc="as many numbers as max_tokens, however many tokens are found")


def mode_option(*modes: str) -> Any:
    """The option of the same name."""
    return option(choice(*(modes or MODES)), default="int")
