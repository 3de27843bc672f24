"""Several processes train one network: each draws a batch of its own, and gradients are averaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

SCRIPT = """
import os, sys
from pathlib import Path
import numpy as np, torch
from ultrares.training.execution import Execution
from ultrares.training.loop import optimise
from ultrares.training.sections import OptimiserSection

def loss(net, rng):
    image = torch.from_numpy(rng.random((2, 1, 8, 8), dtype=np.float32))
    return (net(image) - 0.5).square().mean(), {}

torch.manual_seed(0)
settings = OptimiserSection(steps=3, rate=1e-2, warmup=0, clip=100.0, ema=0.0)
net = optimise(torch.nn.Conv2d(1, 1, 3), loss, settings, folder=Path(sys.argv[1]) / "run", seed=3,
               execution=Execution("cpu", 2))
torch.save(net.state_dict(), Path(sys.argv[1]) / f"rank{os.environ['LOCAL_RANK']}.pt")
"""


def test_two_processes_average_the_gradients_of_two_batches(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    clean = {key: value for key, value in os.environ.items() if key not in ("LOCAL_RANK", "RANK")}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env={**clean, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    torch.manual_seed(0)
    net = nn.Conv2d(1, 1, 3)
    adam = torch.optim.Adam(net.parameters(), lr=1e-2, betas=(0.9, 0.99))
    for step in range(3):
        adam.param_groups[0]["lr"] = 1e-2 * 0.5 * (1 + np.cos(np.pi * step / 3))
        adam.zero_grad()
        for rank in range(2):
            rng = np.random.default_rng((3, step, rank))
            image = torch.from_numpy(rng.random((2, 1, 8, 8), dtype=np.float32))
            (0.5 * (net(image) - 0.5).square().mean()).backward()
        adam.step()
    for rank in range(2):
        state = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        for key, value in net.state_dict().items():
            torch.testing.assert_close(state[key], value, rtol=1e-5, atol=1e-6)
