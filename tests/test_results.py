"""What is committed of the demo's grid is what its committed predictions say."""
import base64, os, re, shutil, subprocess, sys

import pandas as pd
import pytest

from conftest import ROOT
from ifam.paper import results, tables
from ifam.paper.grid import carried_out, runs_of
from ifam.paper.reproduce import TABLES
from ifam.paper.tables import Kept

GRID = ROOT / "figures" / "demo"
PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    "The same folder, made again in a copy of the checkout by `make reproduce KEPT=1`; but results.csv, which takes minutes."
    place = tmp_path_factory.mktemp("again")
    checkout, made = place / "checkout", place / "checkout/figures/demo"
    for name in ("ifam", "nbs", "workflow", "tools"): shutil.copytree(ROOT / name, checkout / name)
    shutil.copytree(GRID, made, ignore=shutil.ignore_patterns("table_*", "claims.csv", "report.html"))
    report = ["papermill", checkout / "nbs/report.ipynb", place / "report.ipynb", "-p", "out", made, "-p", "kept", made / "runs"]
    for words in ([checkout / "tools/grid.py", "reproduce", "--kept", "--until", "page"], ["-m", *report]):
        done = subprocess.run([sys.executable, *map(str, words)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env={**os.environ, "IFAM_HOME": str(place), "PYTHONPATH": str(checkout), "IN_TEST": ""})
        assert done.returncode == 0, done.stdout[-4000:]
    return made


def test_every_page_is_the_committed_page(again):
    "Numbers to the digits that processors agree on, words exactly, and the report with the pictures that lie beside it."
    committed, made = ({f.name: f for f in place.iterdir() if f.suffix in (".csv", ".md", ".html")} for place in (GRID, again))
    own = {"benchmark.csv", "benchmark_gpu.csv", "summary.md", "summary_small.md", "results.csv"}  # of nbs/benchmark.ipynb and of make demo, and see below
    assert made.keys() == committed.keys() and len(made) > 20 + len(own)
    for name in sorted(made.keys() - own):
        if made[name].suffix != ".csv": assert PICTURE.sub("", made[name].read_text()) == PICTURE.sub("", committed[name].read_text()), name
        else: pd.testing.assert_frame_equal(*(pd.read_csv(f[name], dtype=dict(table=str)) for f in (made, committed)), atol=1e-6, obj=name)


def test_the_report_shows_the_figures_that_lie_beside_it():
    shown = [base64.b64decode(p) for p in PICTURE.findall((GRID / "report.html").read_text())]
    assert not [f.name for f in [*GRID.glob("figure_*.png"), GRID / "appendix_b.png"] if f.read_bytes() not in shown]


@pytest.fixture(scope="module")
def kept():
    return Kept("demo", results.read(GRID / "runs"))


def test_the_results_table_is_computed_from_the_predictions(kept):
    committed = pd.read_parquet(GRID / "results.parquet")
    names = sorted(committed["run"].unique())[::7]  # every seventh run: all of them take minutes
    made = results.tidy({n: kept.runs[n] for n in names})
    pd.testing.assert_frame_equal(made, committed[committed["run"].isin(names)].reset_index(drop=True), check_dtype=False, atol=1e-6)


def test_no_cell_is_empty_that_the_kept_runs_can_fill(kept):
    planned, key = {r.name for r in runs_of("demo")}, ["table", "dataset", "method", "K", "intervention", "metric"]
    committed = {f.stem: pd.read_csv(f, dtype=dict(table=str)).set_index(key)["value"].dropna() for f in GRID.glob("table_*.csv")
                 if f.stem.removeprefix("table_") in TABLES}
    for row in [r for t in TABLES for r in [*tables.paper().query("table == @t").to_dict("records"), *tables.ours(t)]]:
        runs = {carried_out(r, "demo").name for r in tables.runs_for(row["method"], row["dataset"], row["K"], 3)}
        assert runs & planned, f"no run of the demo's grid is behind {row}"
        measured = [kept.runs[n].predictions(row["dataset"], tables.intervention_name(row["intervention"])) for n in runs & kept.runs.keys()]
        if any(rows is not None for rows in measured): assert tuple(row[k] for k in key) in committed[f"table_{row['table']}"].index, row
