"""Tensors: values that are computed already, each with its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.eager.once import Array, empty
from engine.eager.operators import Misuse, Operators
from engine.types import DTYPES, Type

if TYPE_CHECKING:
    from engine.eager.tape import Eager, Record

INT32 = np.iinfo(np.int32)
SHOWN = 6
"""Elements that a printed tensor shows at most."""


class Tensor(Operators):
    """Numbers of one type. Its shape is known, its numbers never change: only parameters get new ones.

    `requires_grad`: gradients are wanted of it, or of what it was computed from. `grad`: what `backward` of a loss has
    added up for a parameter. `mask` travels beside it as in `engine.layers`: 1 and 0, (batch, …), 0 for padding.
    """

    data: Array
    requires_grad: bool
    grad: Any
    """A tensor, or None before `backward`."""
    mask: Tensor | None
    record: Record | None
    """How it was computed, if the tape has it."""
    place: int
    """Which of that op's outputs it is."""
    made_by: str
    """The op that computed it."""
    held: Any

    def __init__(self, data: Array, type: Type, *, role: str = "node", name: str = "", made_by: str = "",
                 requires_grad: bool = False, record: Record | None = None, place: int = 0) -> None:
        self.__dict__.update(type=type, role=role, name=name, data=data, requires_grad=requires_grad, grad=None,
                             mask=None, record=record, place=place, made_by=made_by)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("grad", "mask", "held"):
            raise AttributeError(f"{name} of a tensor cannot be set")
        self.__dict__[name] = value

    @property
    def maker(self) -> Eager:
        """What applies ops to it: at once."""
        from engine.eager.tape import EAGER

        return EAGER

    # Numbers

    def numpy(self) -> Array:
        """The numbers, not to be written to."""
        seen = self.data.view()
        seen.flags.writeable = False
        return seen

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.data, dtype) if copy or dtype is not None else self.numpy()

    def item(self) -> Any:
        """The only number."""
        if self.data.size != 1:
            raise Misuse("item", "a tensor of one number", self.type)
        return self.data.reshape(()).item()

    def tolist(self) -> Any:
        """The numbers as lists."""
        return self.data.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    # Gradients

    def backward(self) -> None:
        """Add d self / d parameter to `grad` of every parameter that this number was computed from."""
        from engine.eager.tape import backward

        backward(self)

    def detach(self) -> Tensor:
        """The same numbers without a tape behind them."""
        return Tensor(self.data, self.type, made_by=self.made_by)

    def assign(self, value: Any) -> None:
        """Give a parameter other numbers. What was computed from the old ones keeps them."""
        if self.role != "parameter":
            raise Misuse("assign", "a parameter", f"{self.made_by or 'a tensor'} {self.type}")
        given = as_tensor(value)
        if given.type != self.type:
            raise Misuse("assign", str(self.type), given.type)
        self.take(copied(given.data))

    def take(self, data: Array) -> None:
        """Let a parameter have this array, which is of its type."""
        self.__dict__["data"] = data

    def __repr__(self) -> str:
        by = f"{self.made_by} " if self.made_by else f"{self.name} " if self.name else ""
        flat = self.data.reshape(-1)
        shown = ", ".join(f"{number:.6g}" for number in flat[:SHOWN].tolist())
        more = f", … {flat.size} numbers" if flat.size > SHOWN else ""
        return f"Tensor({by}{self.type}: {shown}{more})"


def copied(array: Array) -> Array:
    """Its numbers in new memory, aligned as compute kernels want it."""
    found = empty(array.shape, str(array.dtype))
    found[...] = array
    return found


def as_tensor(given: Any) -> Tensor:
    """A tensor as it is; numbers, lists and arrays copied into one.

    Floats become float32 and whole numbers int32, but for uint8 and bool, which stay. Raises Misuse for anything else.
    """
    if isinstance(given, Tensor):
        return given
    if isinstance(given, (bool, int, float)):
        return number(float(given))
    array = np.asarray(given)
    if array.dtype.kind == "f":
        array = array.astype(np.float32, copy=False)
    elif array.dtype.kind in "iu" and array.dtype != np.uint8:
        if array.size and (array.min() < INT32.min or array.max() > INT32.max):
            raise Misuse("tensor", f"whole numbers from {INT32.min} to {INT32.max}", f"{array.min()} to {array.max()}")
        array = array.astype(np.int32, copy=False)
    if str(array.dtype) not in DTYPES:
        raise Misuse("tensor", "numbers", f"{type(given).__name__} of {array.dtype}")
    return Tensor(copied(array), Type(array.shape, str(array.dtype)), role="input")


_numbers: dict[tuple[bytes, str], Tensor] = {}
NUMBERS = 1024
"""Constants that are kept."""


def number(value: float, dtype: str = "float32") -> Tensor:
    """A single number, in memory that equal ones share."""
    array = np.asarray(value, dtype)
    key = (array.tobytes(), dtype)
    found = _numbers.get(key)
    if found is None:
        if len(_numbers) >= NUMBERS:
            _numbers.clear()
        found = _numbers[key] = Tensor(copied(array), Type((), dtype), role="constant")
    return found


def tensor(given: Any, *, requires_grad: bool = False) -> Tensor:
    """A new tensor of numbers, lists or an array, copied. See `as_tensor` for types.

    With `requires_grad` it is a parameter: `backward` adds to its `grad`.
    """
    made = as_tensor(given)
    if isinstance(given, (Tensor, bool, int, float)):
        made = Tensor(copied(made.data), made.type, role="input")
    if requires_grad:
        return parameter(made)
    return made


def parameter(given: Any, name: str = "") -> Tensor:
    """A tensor whose gradients are wanted, and that an optimizer may change. Raises Misuse unless it is float32."""
    made = as_tensor(given)
    if made.dtype != "float32":
        raise Misuse("parameter", "float32", made.dtype)
    return Tensor(copied(made.data), made.type, role="parameter", name=name, requires_grad=True)
