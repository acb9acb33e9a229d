"""A small builder of vector kernels: loops, loads, stores and arithmetic that read like the loop they emit.

Every compute kernel has one signature: `void kernel(int64 *args, int64 begin, int64 end)`. `args` holds addresses,
sizes and strides; the kernel does the chunks `begin` to `end`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llvmlite.ir as ir

I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
F32, F64, POINTER = ir.FloatType(), ir.DoubleType(), ir.PointerType()
ELEMENTS = {"float32": F32, "float64": F64, "int32": I32, "uint32": I32, "int64": I64, "uint8": I8, "bool": I8}
WIDTHS = {"float32": 4, "float64": 8, "int32": 4, "uint32": 4, "int64": 8, "uint8": 1, "bool": 1}
LLVM_NAMES = {"float32": "f32", "float64": "f64", "int32": "i32", "uint32": "i32", "int64": "i64", "uint8": "i8",
              "bool": "i8"}


class Index:
    """A 64-bit integer of the program under construction."""

    def __init__(self, code: Code, value: ir.Value) -> None:
        self.code = code
        self.value = value

    def _binary(self, emit: str, other: int | Index) -> Index:
        return Index(self.code, getattr(self.code.ir, emit)(self.value, self.code.index(other).value))

    def __add__(self, other: int | Index) -> Index:
        return self if isinstance(other, int) and other == 0 else self._binary("add", other)

    def __sub__(self, other: int | Index) -> Index:
        return self._binary("sub", other)

    def __mul__(self, other: int | Index) -> Index:
        return self if isinstance(other, int) and other == 1 else self._binary("mul", other)

    def __floordiv__(self, other: int | Index) -> Index:
        return self._binary("sdiv", other)

    def __mod__(self, other: int | Index) -> Index:
        return self._binary("srem", other)

    def compare(self, operator: str, other: int | Index) -> ir.Value:
        """A condition for `when`."""
        return self.code.ir.icmp_signed(operator, self.value, self.code.index(other).value)

    def minimum(self, other: int | Index) -> Index:
        """The smaller of the two."""
        return self.code.choose(self.compare("<", other), self, other)

    def maximum(self, other: int | Index) -> Index:
        """The larger of the two."""
        return self.code.choose(self.compare(">", other), self, other)


class Loop:
    """What `Code.loop` gives: `index`, the values carried into the round, and `carry`, those for the next one."""

    def __init__(self, index: Index, values: list[ir.Value]) -> None:
        self.index = index
        self.values = values
        self.carry: Sequence[ir.Value] = values


class Code:
    """One function under construction, by default a kernel.

    All parameters are int64; the first is the address of an int64 array that `arg` reads. `ir` is llvmlite's builder,
    for what has no name of its own here.
    """

    def __init__(self, name: str, lanes: int, parameters: int = 3) -> None:
        self.name = name
        self.lanes = lanes
        self.module = ir.Module(name=name)
        self.function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [I64] * parameters), name)
        self.ir = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.parameters = [Index(self, value) for value in self.function.args]
        self._args = self.ir.inttoptr(self.function.args[0], POINTER)
        self.begin, self.end = self.parameters[1], self.parameters[2]
        self.vector = ir.VectorType(F32, lanes)

    def finish(self) -> str:
        """The module's text."""
        self.ir.ret_void()
        return str(self.module)

    # Integers and arguments

    def index(self, value: int | Index) -> Index:
        """A constant as an Index."""
        return value if isinstance(value, Index) else Index(self, ir.Constant(I64, value))

    def arg(self, position: int | Index) -> Index:
        """Entry `position` of `args`."""
        return Index(self, self.ir.load(self.at(self._args, self.index(position), "int64"), typ=I64))

    def pointer(self, position: int) -> ir.Value:
        """Entry `position` of `args` as an address."""
        return self.ir.inttoptr(self.arg(position).value, POINTER)

    def real(self, position: int | Index) -> ir.Value:
        """Entry `position` of `args`, a number: it travels as the bits of a double."""
        return self.ir.bitcast(self.arg(position).value, F64)

    def number(self, position: int | Index) -> ir.Value:
        """Entry `position` of `args`, a number, as float32."""
        return self.ir.fptrunc(self.real(position), F32)

    def address(self, value: Index) -> ir.Value:
        """An integer as an address."""
        return self.ir.inttoptr(value.value, POINTER)

    def entry(self, pointer: ir.Value, position: int | Index) -> Index:
        """Element `position` of an int64 array."""
        return Index(self, self.load_scalar(self.at(pointer, position, "int64"), "int64"))

    def choose(self, condition: ir.Value, yes: int | Index, no: int | Index) -> Index:
        """`yes if condition else no`, both of them computed."""
        return Index(self, self.ir.select(condition, self.index(yes).value, self.index(no).value))

    def local(self, count: int, dtype: str = "float32") -> ir.Value:
        """The address of `count` elements on the stack, 64-byte aligned: one place for all rounds of all loops."""
        with self.ir.goto_entry_block():
            place = self.ir.alloca(ir.ArrayType(ELEMENTS[dtype], count))
            place.align = 64
            return self.ir.inttoptr(self.ir.ptrtoint(place, I64), POINTER)  # llvmlite would keep the array's type

    def at(self, pointer: ir.Value, offset: int | Index, dtype: str = "float32") -> ir.Value:
        """The address `offset` elements behind `pointer`."""
        if isinstance(offset, int) and offset == 0:
            return pointer
        return self.ir.gep(pointer, [self.index(offset).value], source_etype=ELEMENTS[dtype])

    # Control flow

    @contextmanager
    def loop(self, start: int | Index, stop: int | Index, step: int | Index = 1,
             carry: Sequence[ir.Value] = ()) -> Iterator[Loop]:
        """`for index in range(start, stop, step)`, not even once where start >= stop.

        After the block, `loop.values` are the carried values as they left the loop.
        """
        before = self.ir.block
        head, body, done = (self.function.append_basic_block(label) for label in ("head", "body", "done"))
        first, last = self.index(start), self.index(stop)
        self.ir.branch(head)
        self.ir.position_at_end(head)
        counter = self.ir.phi(I64)
        counter.add_incoming(first.value, before)
        values = []
        for value in carry:
            phi = self.ir.phi(value.type)
            phi.add_incoming(value, before)
            values.append(phi)
        loop = Loop(Index(self, counter), values)
        self.ir.cbranch(loop.index.compare("<", last), body, done)
        self.ir.position_at_end(body)
        yield loop
        following = loop.index + step
        counter.add_incoming(following.value, self.ir.block)
        for phi, value in zip(values, loop.carry, strict=True):
            phi.add_incoming(value, self.ir.block)
        self.ir.branch(head)
        self.ir.position_at_end(done)

    @contextmanager
    def when(self, condition: ir.Value) -> Iterator[None]:
        """`if condition:`"""
        body, done = (self.function.append_basic_block(label) for label in ("then", "done"))
        self.ir.cbranch(condition, body, done)
        self.ir.position_at_end(body)
        yield
        self.ir.branch(done)
        self.ir.position_at_end(done)

    def either(self, condition: ir.Value) -> Any:
        """`with code.either(condition) as (then, otherwise):`, and in it `with then: …` and `with otherwise: …`."""
        return self.ir.if_else(condition)

    # Vectors

    def type_of(self, dtype: str) -> ir.Type:
        """A vector of `lanes` elements of this dtype."""
        return ir.VectorType(ELEMENTS[dtype], self.lanes)

    def splat(self, value: float | ir.Value | Index, dtype: str = "float32") -> ir.Value:
        """A number or a scalar in every lane; an Index is cut down to an integer type's width."""
        kind = self.type_of(dtype)
        if isinstance(value, Index):
            value = value.value if kind.element == I64 else self.ir.trunc(value.value, kind.element)
        if not isinstance(value, ir.Value):
            return ir.Constant(kind, [value] * self.lanes)
        one = self.ir.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        return self.ir.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)

    def zeros(self) -> ir.Value:
        """0.0 in every lane."""
        return self.splat(0.0)

    def ascending(self, dtype: str = "int32") -> ir.Value:
        """0, 1, 2 … in the lanes."""
        return ir.Constant(self.type_of(dtype), list(range(self.lanes)))

    def mask(self, count: Index) -> ir.Value:
        """True in the first `count` lanes."""
        return self.ir.icmp_signed("<", self.ascending(), self.splat(count.minimum(self.lanes), "int32"))

    def across(self, value: ir.Value, combine: Callable[[ir.Value, ir.Value], ir.Value]) -> ir.Value:
        """All lanes combined in a tree: lane i with lane i + lanes / 2, and so on. Every lane gets the result.

        `combine` takes and gives vectors, and has the same bits whichever of the two comes first.
        """
        distance = self.lanes // 2
        while distance:
            order = ir.Constant(ir.VectorType(I32, self.lanes), [lane ^ distance for lane in range(self.lanes)])
            value = combine(value, self.ir.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), order))
            distance //= 2
        return value

    def first(self, value: ir.Value) -> ir.Value:
        """Lane 0."""
        return self.ir.extract_element(value, ir.Constant(I32, 0))

    def load(self, pointer: ir.Value, dtype: str = "float32", mask: ir.Value | None = None,
             otherwise: float = 0) -> ir.Value:
        """`lanes` consecutive elements; those outside the mask are `otherwise` and not touched."""
        kind = self.type_of(dtype)
        if mask is None:
            loaded = self.ir.load(pointer, typ=kind)
            loaded.align = WIDTHS[dtype]
            return loaded
        name = f"llvm.masked.load.v{self.lanes}{LLVM_NAMES[dtype]}.p0"
        return self.call(name, kind, [pointer, mask, self.splat(otherwise, dtype)])

    def store(self, value: ir.Value, pointer: ir.Value, dtype: str = "float32", mask: ir.Value | None = None) -> None:
        """Write `lanes` consecutive elements, or those in the mask."""
        if mask is None:
            self.ir.store(value, pointer).align = WIDTHS[dtype]
            return
        name = f"llvm.masked.store.v{self.lanes}{LLVM_NAMES[dtype]}.p0"
        self.call(name, ir.VoidType(), [value, pointer, mask])

    def store_scalar(self, value: ir.Value, pointer: ir.Value) -> None:
        """Write one element."""
        self.ir.store(value, pointer)

    def move(self, target: ir.Value, source: ir.Value, count: Index) -> None:
        """Copy `count` bytes between places that do not overlap."""
        arguments = [target, source, count.value, ir.Constant(I1, 0)]
        self.call("llvm.memcpy.p0.p0.i64", ir.VoidType(), arguments)

    def fill(self, target: ir.Value, count: Index, value: ir.Value, dtype: str = "float32") -> None:
        """Set `count` elements to the vector's lanes, over and over."""
        whole = count // self.lanes * self.lanes
        with self.loop(0, whole, self.lanes) as at:
            self.store(value, self.at(target, at.index, dtype), dtype)
        with self.when(whole.compare("<", count)):
            self.store(value, self.at(target, whole, dtype), dtype, self.mask(count - whole))

    def load_scalar(self, pointer: ir.Value, dtype: str = "float32") -> ir.Value:
        """One element."""
        return self.ir.load(pointer, typ=ELEMENTS[dtype])

    def fma(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """x * y + z with one rounding."""
        return self.intrinsic("fma", x, y, z)

    def intrinsic(self, name: str, *arguments: ir.Value) -> ir.Value:
        """An LLVM intrinsic on vectors of floats."""
        return self.call(f"llvm.{name}.v{self.lanes}f32", arguments[0].type, list(arguments))

    def call(self, name: str, result: ir.Type, arguments: Sequence[Any]) -> ir.Value:
        """Call a function by name, declared on first use."""
        declared = self.module.globals.get(name)
        if declared is None:
            declared = ir.Function(self.module, ir.FunctionType(result, [value.type for value in arguments]), name)
        return self.ir.call(declared, list(arguments))
