"""`stoker.from_torch`, against a whole server, where PyTorch is installed: the suite's own environment has none."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from local_server import LocalServer

import engine
import stoker


def test_without_pytorch_the_error_says_so() -> None:
    code = "import sys; sys.modules['torch'] = None\nimport stoker\nstoker.from_torch(None, None)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "from_torch needs PyTorch where it runs" in ran.stderr


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed here")


def network(torch: Any) -> Any:
    """Convolutions, a normalisation, a flattened image and names of two levels."""
    nn = torch.nn
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(8, 8, 3, groups=8), nn.ReLU6())
    head = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(8 * 2 * 2, 3))
    return nn.Sequential(OrderedDict(body=body, head=head))


def test_a_module_goes_out_is_trained_and_comes_back(torch: Any, service: LocalServer, tmp_path: Path) -> None:
    module, random = network(torch), np.random.default_rng(0)
    images = random.normal(size=(96, 8, 8, 3)).astype(np.float32)
    file = tmp_path / "images.npz"
    np.savez(file, image=images, label=np.arange(96) % 3)
    with stoker.Client(service.url, data_dir=service.data_dir) as client:
        model = stoker.from_torch(module, torch.zeros(1, 3, 8, 8), client=client, name="network")
        assert module.training
        assert (model.name, model.weights and model.weights["format"]) == ("network", "onnx")
        assert model.model["inputs"]["input"]["shape"] == [8, 8, 3]
        assert "Dropout" in [layer["type"] for layer in model.model["layers"]]
        dataset = client.datasets.wait(client.datasets.upload(file).id, timeout_seconds=30)
        document = {"model": model.id, "dataset": dataset.id, "data": {"target": "label"}, "training": {
            "epochs": 2, "loss": {"type": "SparseCategoricalCrossentropy", "from_logits": True},
            "optimizer": {"type": "SGD", "learning_rate": 0.05}}}
        job = client.jobs.wait(client.jobs.create(document).id)
        back = client.jobs.weights(job.id, tmp_path / "back.npz", format="npz", layout="torch")
        here = engine.load(client.jobs.weights(job.id, tmp_path / "trained.safetensors"))
    ours = here.predict(images)
    here.close()

    before = {name: value.clone() for name, value in module.state_dict().items()}
    with np.load(back) as arrays:
        module.load_state_dict({name: torch.from_numpy(arrays[name].copy()) for name in arrays if name in before})
    module.eval()
    assert not torch.equal(before["head.2.weight"], module.state_dict()["head.2.weight"])
    assert not torch.equal(before["body.1.running_mean"], module.state_dict()["body.1.running_mean"])
    with torch.no_grad():
        theirs = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_errors_name_the_part(torch: Any) -> None:
    nn = torch.nn
    with pytest.raises(stoker.StokerError, match=r"1\.0 \(Linear\) does not take the example"):
        stoker.from_torch(nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(5, 2))), torch.zeros(1, 4))
    with pytest.raises(stoker.StokerError, match=r"expected a torch.nn.Module, received int"):
        stoker.from_torch(3, torch.zeros(1, 4))
    with pytest.raises(stoker.StokerError, match=r"expected a tensor \(batch, …\) as example, received float"):
        stoker.from_torch(nn.Linear(2, 2), 0.5)
