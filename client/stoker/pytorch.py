"""`stoker.from_torch(module, example_input)`: a PyTorch module becomes a stored model with its weights.

The module is exported to ONNX in memory by the PyTorch that is installed where this runs; the server never needs it.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stoker.errors import StokerError

if TYPE_CHECKING:
    from stoker.client import Client
    from stoker.types import Model

INPUT = "input"
"""What the model's only input is called, or the first of several: input, input_1, …"""


def from_torch(module: Any, example_input: Any, *, client: Client | None = None, name: str | None = None) -> Model:
    """Stores a `torch.nn.Module` with its weights, for jobs to start from.

    `example_input` is a tensor (batch, …), or a tuple of them for a module with several inputs: images are (batch,
    channels, height, width), and become (height, width, channels) on the server. Layers have the names of the module's
    parts, so that a job's weights with `layout="torch"` go back by `module.load_state_dict`. Without a `client` one is
    made as `Client()`. Raises StokerError naming the part that cannot be exported, InvalidRequestError naming the
    operator that the server does not know.
    """
    content = export(module, example_input)
    called = name or type(module).__name__
    if client is not None:
        return client.models.send(io.BytesIO(content), f"{called}.onnx", name=called)
    from stoker.client import Client

    with Client() as own:
        return own.models.send(io.BytesIO(content), f"{called}.onnx", name=called)


def export(module: Any, example_input: Any) -> bytes:
    """The module as an ONNX file with an open batch: nothing is folded, so that every part keeps its parameters.

    Raises StokerError.
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise StokerError(f"expected a torch.nn.Module, received {type(module).__name__}")
    examples = example_input if isinstance(example_input, tuple) else (example_input,)
    for example in examples:
        if not isinstance(example, torch.Tensor) or example.dim() < 2:
            raise StokerError(f"expected a tensor (batch, …) as example, received {_described(example)}")
    names = [INPUT if place == 0 else f"{INPUT}_{place}" for place in range(len(examples))]
    trained = [each for each in module.modules() if each.training]
    module.eval()
    try:
        with torch.no_grad():
            _try(module, examples)
            for each in trained:
                if isinstance(each, torch.nn.Dropout):
                    each.training = True  # else the exporter leaves it out, and training here would be without it
            return _exported(torch, module, examples, names)
    finally:
        for each in trained:
            each.training = True


def _torch() -> Any:
    """The user's own PyTorch, which this package never asks for."""
    try:
        return import_module("torch")
    except ImportError:
        raise StokerError("from_torch needs PyTorch where it runs, and there is none: pip install torch") from None


def _exported(torch: Any, module: Any, examples: tuple[Any, ...], names: list[str]) -> bytes:
    options: dict[str, Any] = {
        "input_names": names,
        "output_names": ["output"],
        "dynamic_axes": {each: {0: "batch"} for each in names},
        "training": torch.onnx.TrainingMode.PRESERVE,
        "do_constant_folding": False,
        "opset_version": 18,
        "dynamo": False,  # the exporter that keeps normalisations apart from convolutions
    }
    with tempfile.TemporaryDirectory(prefix="stoker-torch-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder, "model.onnx")
        try:
            torch.onnx.export(module, examples, str(file), **options)
        except ModuleNotFoundError as error:
            raise StokerError(f"torch.onnx.export needs {error.name}: pip install {error.name}") from error
        except Exception as error:
            where = _part(torch, module, examples)
            raise StokerError(f"{where} cannot be exported to ONNX: {_first(error)}") from error
        return file.read_bytes()


def _try(module: Any, examples: tuple[Any, ...]) -> None:
    """Does the module take the example? Raises StokerError naming the innermost part that does not."""
    running: list[str] = []
    hooks = []
    for path, part in module.named_modules():
        hooks.append(part.register_forward_pre_hook(partial(_enter, running, _called(path, part))))
        hooks.append(part.register_forward_hook(partial(_leave, running)))
    try:
        module(*examples)
    except Exception as error:
        where = running[-1] if running else type(module).__name__
        raise StokerError(f"{where} does not take the example: {_first(error)}") from error
    finally:
        for hook in hooks:
            hook.remove()


def _enter(running: list[str], called: str, part: Any, given: Any) -> None:
    running.append(called)


def _leave(running: list[str], part: Any, given: Any, made: Any) -> None:
    running.pop()


def _called(path: str, part: Any) -> str:
    return f"{path or 'the module'} ({type(part).__name__})"


def _part(torch: Any, module: Any, examples: tuple[Any, ...]) -> str:
    """The first part without parts of its own that cannot be exported alone, or the whole module."""
    seen: list[tuple[str, Any, tuple[Any, ...]]] = []
    hooks = [
        part.register_forward_pre_hook(partial(_note, seen, path))
        for path, part in module.named_modules()
        if path and not any(True for _ in part.children())
    ]
    try:
        module(*examples)
    finally:
        for hook in hooks:
            hook.remove()
    for path, part, given in seen:
        try:
            torch.onnx.export(part, given, io.BytesIO(), dynamo=False, opset_version=18)
        except Exception:
            return _called(path, part)
    return type(module).__name__


def _note(seen: list[tuple[str, Any, tuple[Any, ...]]], path: str, part: Any, given: Any) -> None:
    seen.append((path, part, given))


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{type(value).__name__} of shape {tuple(shape)}"


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
