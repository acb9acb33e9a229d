"""Variables in Keras 3's HDF5 files: a group for each layer, in it `vars` with the arrays 0, 1, … in order of creation.

The group's path comes from classes and places; its attribute `name` is the layer's name. Files are read under limits:
plain arrays inside the file only, no links out of it, no filters, nothing that is larger than the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from engine.errors import WeightsError, show
from engine.formats import documents
from engine.formats.base import BEHIND, MAX_RANK, MAX_TENSORS, Tensor, Tensors, check_name, little_endian
from engine.formats.keras_config import KerasModel
from engine.formats.metadata import KEY, Metadata
from engine.graph.build import forward_graph

if TYPE_CHECKING:
    import h5py

VARIABLES = "vars"
SKIPPED = ("optimizer", "seed_generator", "_seed_generator", "metrics", "_metrics", "loss")
"""Groups beside the layers' weights: what training keeps, which starts anew here."""
_MAX_DEPTH = 64


def write_variables(path: Path, keras: KerasModel, tensors: Tensors, metadata: Metadata) -> None:
    """Write the tensors where `keras` looks for them. Equal content gives equal bytes."""
    import h5py

    with h5py.File(path, "w", libver=("v108", "v112")) as file:
        file.create_group(VARIABLES).attrs["name"] = keras.model.name
        for name, group in keras.paths().items():
            file.create_group(f"{group}/{VARIABLES}").attrs["name"] = name
        for group, part, names in _groups(keras):
            target = file.require_group(f"{group}/{VARIABLES}")
            if part:
                target.attrs["name"] = part
            for place, name in enumerate(names):
                target.create_dataset(str(place), data=little_endian(tensors[name]))
        file.create_dataset(KEY, data=np.frombuffer(metadata.to_text().encode(), np.uint8))


def _groups(keras: KerasModel) -> Iterator[tuple[str, str, list[str]]]:
    """Group, name of the part (none for a layer itself), and variables in the order of creation."""
    layers = {node.name: node.layer for node in keras.model.layers}
    paths = keras.paths()
    owned: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    variables = forward_graph(keras.model)[1].variables
    for variable in variables:
        parts = tuple(variable.name.removeprefix(f"{variable.layer}/").split("/")[:-1])
        for depth in range(len(parts)):  # also where a part has parts, but no variables of its own
            owned.setdefault((variable.layer, parts[:depth]), [])
        owner, _, last = variable.name.rpartition("/")
        again = [other.name for other in variables if other.name.startswith(f"{owner}/")][:BEHIND.get(last, 0)]
        owned.setdefault((variable.layer, parts), []).extend([*again, variable.name])
    for (name, parts), names in owned.items():
        group = "/".join([paths[name], *(layers[name].keras_attribute(part) for part in parts)])
        yield group, parts[-1] if parts else "", names


def read_variables(source: Path | BinaryIO, size: int) -> tuple[dict[str, Tensor], Metadata | None]:
    """Arrays by the names of their layers and their places (encoder/dense/0), and the metadata if the file has any.

    `size` is the file's. Raises WeightsError for anything that is not so.
    """
    import h5py

    try:
        with h5py.File(source, "r") as file:
            reader = _Reader(file, size)
            found = {f"{name}/{place}": array for name, arrays in reader.layers() for place, array in enumerate(arrays)}
            return found, reader.metadata()
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"expected an HDF5 file, received a damaged one ({str(error)[:120]})") from None


class _Reader:
    """Walks one file."""

    def __init__(self, file: h5py.File, size: int) -> None:
        self.file = file
        self.left = size
        self.count = 0

    def layers(self) -> Iterator[tuple[str, list[Tensor]]]:
        """Names and arrays of everything below the root that has variables."""
        seen: set[str] = set()
        for name, arrays in self._walk(self.file, "", (), 0):
            if name in seen:
                raise WeightsError(f"expected a name of its own for each layer, received {show(name)} twice")
            seen.add(name)
            yield name, arrays

    def _walk(self, group: h5py.Group, at: str, names: tuple[str, ...],
              depth: int) -> Iterator[tuple[str, list[Tensor]]]:
        import h5py

        if depth > _MAX_DEPTH:
            raise WeightsError(f"group {show(at)}: expected at most {_MAX_DEPTH} levels")
        members = self._members(group, at)
        own = members.pop(VARIABLES, None)
        if isinstance(own, h5py.Group):
            if depth:
                named = own.attrs.get("name")
                if not isinstance(named, str):
                    raise WeightsError(f"group {show(at)}: expected the layer's name as attribute of `vars` (written "
                                       "by Keras 3.4 or newer), received none")
                names = (*names, named)
            arrays = self._arrays(own, f"{at}/{VARIABLES}")
            if arrays:
                yield check_name("/".join(names)), arrays
        for name, member in members.items():
            if isinstance(member, h5py.Group) and name not in SKIPPED:
                yield from self._walk(member, f"{at}/{name}", names, depth + 1)

    def _members(self, group: h5py.Group, at: str) -> dict[str, Any]:
        import h5py

        found = {}
        for name in group:
            self.count += 1
            if self.count > MAX_TENSORS:
                raise WeightsError(f"expected at most {MAX_TENSORS} groups and arrays")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise WeightsError(f"{show(f'{at}/{name}')}: expected a group or an array, received a link, which is "
                                   "never followed")
            found[name] = group[name]
        return found

    def _arrays(self, group: h5py.Group, at: str) -> list[Tensor]:
        members = self._members(group, at)
        if set(members) != {str(place) for place in range(len(members))}:
            raise WeightsError(f"group {show(at)}: expected the arrays 0 to {len(members) - 1}, received "
                               f"{show(', '.join(sorted(members)), 200)}")
        arrays = [self._array(members[str(place)], f"{at}/{place}") for place in range(len(members))]
        # Keras counts in whole numbers what a Normalization was adapted to; all variables are float32 here.
        return [array.astype(np.float32) if array.dtype.kind in "iu" else array for array in arrays]

    def _array(self, data: Any, at: str) -> Tensor:
        """An array that stands in the file as it is: no larger than what is left of the file's bytes."""
        import h5py

        if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "biuf" or data.dtype.itemsize > 8:
            raise WeightsError(f"{show(at)}: expected an array of numbers, received something else")
        if data.chunks is not None or data.is_virtual or data.external:
            raise WeightsError(f"{show(at)}: expected an array in one piece, received one that is in pieces, "
                               "compressed or outside of the file")
        if len(data.shape) > MAX_RANK or data.nbytes > self.left:
            raise WeightsError(f"{show(at)}: expected at most {MAX_RANK} dimensions and no more bytes than the file "
                               f"has, received shape {show(data.shape)}")
        self.left -= data.nbytes
        array = np.asarray(data[()], data.dtype.newbyteorder("="))
        array.flags.writeable = False
        return array

    def metadata(self) -> Metadata | None:
        if KEY not in self._members(self.file, ""):
            return None
        text = self._array(self.file[KEY], f"/{KEY}")
        if text.dtype != np.uint8 or text.size > documents.MAX_BYTES:
            raise WeightsError(f"/{KEY}: expected at most {documents.MAX_BYTES} bytes of JSON")
        return Metadata.from_text(text.tobytes())
