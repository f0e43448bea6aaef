"""One folder for runs and the twin of all tests, and how they start a training."""
import json, os, subprocess, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = dict(twin_size=0.02, epochs=2, K=2, weights="none", micro_batch=8, batch_size=8)  # some 20 seconds

TRAIN = """
import json, sys
from ifam.methods.contract import configure
from ifam.training.loop import train

class Steps:
    "A progress bar that writes the number of steps done to a file, for a test to wait for."
    def __init__(self, batches=None, total=None, initial=0, desc="", **ignored): self.batches, self.n, self.desc = batches, initial, desc
    def __iter__(self): return iter(self.batches)
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def close(self): pass
    def update(self, n=1):
        self.n += n
        if self.desc.startswith("training"): open(sys.argv[2] + ".steps", "w").write(str(self.n))

train(configure(**json.loads(sys.argv[1])), sys.argv[2], Steps)
"""


@pytest.fixture(scope="session")
def house(tmp_path_factory):
    "A home for runs and data, away from the checkout."
    home = tmp_path_factory.mktemp("home")
    os.environ["IFAM_HOME"] = str(home)
    os.environ["OMP_NUM_THREADS"] = "1"  # what is compared bit for bit needs the same number of threads
    return home


def small(method="ifam", **settings):
    "The demo's settings at a size that trains in some 20 seconds."
    from ifam.methods.contract import preset, setting_names  # seconds, which tests without a training need not spend
    sizes = {name: value for name, value in SMALL.items() if name != "K" or "K" in setting_names(method)}
    return preset("demo", method=method) | sizes | settings


def trained(folder, **settings):
    "A training in this process, on one thread like those in their own."
    import torch
    from ifam.methods.contract import configure
    from ifam.training.loop import train
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try: return train(configure(**small(**settings)), folder)
    finally: torch.set_num_threads(threads)


def start(folder, launcher=(), **settings):
    "A training in a process of its own, which may be killed."
    script = Path(os.environ["IFAM_HOME"]) / "train.py"
    script.write_text(TRAIN)
    command = [*(launcher or [sys.executable]), str(script), json.dumps(small(**settings)), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    "Wait for it; its output where it failed."
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return output


@pytest.fixture(scope="session")
def finished(house):
    "A run that nothing interrupted."
    finish(start(house / "runs" / "whole"))
    return house / "runs" / "whole"
