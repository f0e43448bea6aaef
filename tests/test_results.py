"""The committed tables are what the committed predictions say."""
import base64
import re

import pandas as pd
import pytest

from conftest import ROOT
from ifam.paper import results
from ifam.paper import tables
from ifam.paper.claims import judged
from ifam.paper.grid import carried_out, runs_of
from ifam.paper.reproduce import TABLES
from ifam.paper.tables import Kept

GRID = ROOT / "figures" / "demo"


@pytest.fixture(scope="module")
def kept():
    return Kept("demo", results.read(GRID / "runs"))


def test_the_methods_side_by_side_are_computed_from_the_predictions(kept):
    if not (GRID / "table_methods.csv").is_file(): pytest.skip("figures/demo has no table of the methods: make reproduce makes it")
    committed = pd.read_csv(GRID / "table_methods.csv")
    rows = {row: [kept.runs[n] for n in names if n in kept.runs] for row, names in tables.side_by_side(runs_of("demo", 5)).items()}
    pd.testing.assert_frame_equal(results.compare({row: rows[row] for row in committed["method"]}), committed, check_dtype=False, atol=1e-6)
    for gap in pd.read_csv(GRID / "table_gaps.csv").to_dict("records"):
        ours, theirs = rows[gap["method"]], rows[gap["over"]]
        again = results.difference(ours[:gap["seeds"]], theirs[:gap["seeds"]])["WGA"].difference
        assert (float(again), again.low, again.high) == pytest.approx((gap["points"], gap["low"], gap["high"]), abs=1e-6)
        seeds = [float(results.difference([a], [b], draws=1)["WGA"].difference) for a, b in zip(ours, theirs)]
        assert gap["agree"] == sum(s * gap["points"] > 0 for s in seeds), gap


@pytest.mark.parametrize("table", sorted(f.stem.removeprefix("table_") for f in GRID.glob("table_??.csv")) + sorted(f.stem.removeprefix("table_") for f in GRID.glob("table_?.csv")))
def test_every_number_of_the_papers_tables_is_computed_from_the_predictions(table, kept):
    committed = pd.read_csv(GRID / f"table_{table}.csv", dtype=dict(table=str))
    ours = committed["note"].eq("not in the paper")
    again = tables.cells(table, kept, committed[ours][["table", "dataset", "method", "K", "intervention", "metric", "value", "note"]].to_dict("records"))
    for column in ("value", "sd", "low", "high", "n", "seeds"): pd.testing.assert_series_equal(again[column], committed[column], check_dtype=False, atol=1e-6)
    assert tables.markdown(tables.readable(again)) in (GRID / f"table_{table}.md").read_text()


def test_no_cell_is_empty_that_the_kept_runs_can_fill(kept):
    planned, key = {r.name for r in runs_of("demo")}, ["table", "dataset", "method", "K", "intervention", "metric"]
    committed = {f.stem: pd.read_csv(f, dtype=dict(table=str)).set_index(key)["value"].dropna() for f in GRID.glob("table_*.csv")
                 if f.stem.removeprefix("table_") in TABLES}
    for row in [r for t in TABLES for r in [*tables.paper().query("table == @t").to_dict("records"), *tables.ours(t)]]:
        runs = {carried_out(r, "demo").name for r in tables.runs_for(row["method"], row["dataset"], row["K"], 3)}
        assert runs & planned, f"no run of the demo's grid is behind {row}"
        measured = [kept.runs[n].predictions(row["dataset"], tables.intervention_name(row["intervention"])) for n in runs & kept.runs.keys()]
        if any(rows is not None for rows in measured): assert tuple(row[k] for k in key) in committed[f"table_{row['table']}"].index, row


def test_the_results_table_is_computed_from_the_predictions(kept):
    committed = pd.read_parquet(GRID / "results.parquet")
    names = sorted(committed["run"].unique())[::7]                     # every seventh run: all of them take minutes
    again = results.tidy({n: kept.runs[n] for n in names})
    pd.testing.assert_frame_equal(again, committed[committed["run"].isin(names)].reset_index(drop=True), check_dtype=False, atol=1e-6)


def test_every_claim_is_judged_from_the_predictions(kept):
    pd.testing.assert_frame_equal(judged(kept), pd.read_csv(GRID / "claims.csv", dtype=dict(section=str)).fillna(dict(why="")), check_dtype=False, atol=1e-6)


def test_the_report_shows_the_figures_that_lie_beside_it():
    shown = [base64.b64decode(p) for p in re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", (GRID / "report.html").read_text())]
    assert not [f.name for f in [*GRID.glob("figure_*.png"), GRID / "appendix_b.png"] if f.read_bytes() not in shown]
