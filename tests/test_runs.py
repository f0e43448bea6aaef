"""Runs that are killed, shared between processes, or started twice: what a notebook cell cannot test."""
import signal, sys, time

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from conftest import finish, start, trained


def wait_for(condition, process, seconds=120):
    end = time.time() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.time() < end, "waited too long"
        time.sleep(0.05)


def steps(folder):
    "Steps that a training in another process has done."
    file = folder.with_name(folder.name + ".steps")
    return int(file.read_text() or 0) if file.exists() else 0


def same(one, two):
    a, b = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert a.keys() == b.keys() and all((a[k] == b[k]).all() for k in a), "another result than the run that was not interrupted"
    pd.testing.assert_frame_equal(*(pd.read_parquet(f / "predictions.parquet") for f in (one, two)))
    assert (one / "metrics.jsonl").read_text() == (two / "metrics.jsonl").read_text()


def test_a_run_killed_at_once_ends_the_same(house, finished):
    "kill -9 after the first epoch: the work of one epoch is lost at most, the result is the same bit for bit."
    folder = house / "runs" / "killed"
    process = start(folder)
    wait_for(lambda: (folder / "state.pt").exists() and steps(folder) >= 8, process)  # in the second epoch
    process.kill(); process.communicate()
    assert not (folder / "predictions.parquet").exists()
    finish(start(folder))
    same(folder, finished)
    assert not list(folder.glob(".*tmp")) or not (folder / "state.pt").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_goes_on_inside_the_epoch(house, finished, number):
    "Ctrl-C or SIGTERM: the state is written at the next step, and the same command ends with the same weights."
    folder = house / "runs" / f"stopped-{number}"
    process = start(folder)
    wait_for(lambda: steps(folder) >= 2, process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode and "the same command goes on from here" in output
    state = torch.load(folder / "state.pt", weights_only=True)
    assert state["step"] > 0, "stopped between epochs: this tests nothing, make SMALL larger"
    finish(start(folder))
    same(folder, finished)


def test_a_method_with_a_memory_or_phases_goes_on(house):
    "GroupDRO's weights and JTT's error set are part of the state: killed in an epoch, and between two phases, they end the same."
    settings = dict(batch_size=8, micro_batch=4, epochs=1)
    number = lambda folder: torch.load(folder / "state.pt", weights_only=True)["number"] if (folder / "state.pt").exists() else -1
    for method, moment in (("group_dro", lambda folder: steps(folder) >= 2), ("jtt", lambda folder: number(folder) == 1)):
        whole, killed = house / "runs" / f"{method}-whole", house / "runs" / f"{method}-killed"
        finish(start(whole, method=method, **settings))
        process = start(killed, method=method, **settings)
        wait_for(lambda: moment(killed), process)
        process.send_signal(signal.SIGINT if method == "group_dro" else signal.SIGKILL); process.communicate(timeout=120)
        assert not (killed / "predictions.parquet").exists()
        finish(start(killed, method=method, **settings))
        same(whole, killed)
        if method == "jtt": assert len(load_file(whole / "known.safetensors")["errors"]) and [r["phase"] for r in pd.read_json(whole / "metrics.jsonl", lines=True).to_dict("records")] == ["identify", "train"]


def test_a_finished_run_is_not_trained_again(house, finished):
    before = {f.name: f.stat().st_mtime_ns for f in finished.iterdir()}
    trained(finished)
    assert {f.name: f.stat().st_mtime_ns for f in finished.iterdir()} == before
    with pytest.raises(ValueError, match=r"holds a run with other settings \(K\)"): trained(finished, K=3)


def test_two_processes_score_every_image_once(house, finished):
    "torchrun with two processes on gloo: the same code, each test image in the table exactly once."
    folder = house / "runs" / "two"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    finish(start(folder, launcher, batch_size=16, micro_batch=4, epochs=1))
    one, two = (pd.read_parquet(f / "predictions.parquet") for f in (finished, folder))
    assert two["index"].tolist() == one["index"].tolist() and (two["label"] == one["label"]).all()
    assert np.isfinite(two["logit_0"]).all()


@pytest.mark.parametrize("method", ["erm", "group_dro", "jtt", "masktune", "dino_pca"])
def test_two_processes_learn_as_one(house, method):
    "Gradients are averaged over processes, and images weighed over all of them: without chance in the losses, two processes end where one does, to rounding."
    settings = dict(method=method, batch_size=16, micro_batch=4, epochs=1, precision="32-true")
    one, two = house / "runs" / f"{method}-1", house / "runs" / f"{method}-2"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    trained(one, **settings); finish(start(two, launcher, **settings))
    a, b = (load_file(f / "model.safetensors") for f in (one, two))
    assert max((a[k] - b[k]).abs().max().item() for k in a) < 1e-3
    if method == "erm":
        with pytest.raises(AssertionError, match="not a multiple of micro_batch"): finish(start(house / "runs" / "x", launcher, batch_size=8, micro_batch=8))


def test_a_loss_that_is_not_a_number_stops_the_run_and_is_named(house):
    folder = house / "runs" / "nan"
    with pytest.raises(FloatingPointError, match="The loss 'stage2' became"): trained(folder, method="erm", lr_head=1e30, precision="32-true")
    assert not (folder / "model.safetensors").exists()


@pytest.mark.parametrize("method", ["erm", "group_dro"])
def test_micro_batches_add_up_to_the_batch(house, method):
    "Accumulating gradients over two micro-batches is one step on all of them, to rounding."
    settings = dict(method=method, batch_size=8, epochs=1, precision="32-true")
    one, two = house / "runs" / f"{method}-micro-8", house / "runs" / f"{method}-micro-4"
    trained(one, **settings, micro_batch=8); trained(two, **settings, micro_batch=4)
    a, b = (load_file(f / "model.safetensors") for f in (one, two))
    assert max((a[k] - b[k]).abs().max().item() for k in a) < 1e-3


def test_a_moving_average_is_judged_and_saved(house, finished):
    "With ema the saved weights are the average, which lags behind the last step."
    folder = house / "runs" / "ema"
    trained(folder, ema=0.9, select="last")
    a, b = (load_file(f / "model.safetensors") for f in (folder, finished))
    assert a.keys() == b.keys() and any((a[k] != b[k]).any() for k in a)
    assert "val_AA" not in (folder / "metrics.jsonl").read_text()  # nothing was selected
