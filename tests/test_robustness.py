"""The soak tool itself, on a few of its cases, and the page that shows its record."""
import os, subprocess, sys

import pandas as pd

from conftest import ROOT
from test_papermill import papermill


def test_hostile_inputs_are_held_and_shown(house, tmp_path):
    "Some of the inputs that mean harm; what was tried and what held is a row each, and the page counts them."
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, ROOT / "tools/soak.py", "--only", "hostile", "--every", "7", "--out", tmp_path], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = pd.read_csv(tmp_path / "robustness.csv")
    assert len(rows) >= 15 and rows["held"].all() and set(rows["kind"]) == {"hostile"}
    done = papermill("nbs/robustness.ipynb", tmp_path / "out.ipynb", "record", tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"All {len(rows)} cases held" in (tmp_path / "out.ipynb").read_text()


def test_the_committed_record_reaches_its_bars():
    rows = pd.read_csv(ROOT / "figures/robustness.csv")
    counts = rows[rows["held"]].groupby("kind").size()
    for kind, least in dict(kills=60, disks=20, pairs=10, memory=3, hostile=60).items(): assert counts.get(kind, 0) >= least, (kind, counts.to_dict())
    assert rows["held"].all(), rows[~rows["held"]]
