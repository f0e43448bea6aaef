"""The committed tables are what the committed predictions say."""
import pandas as pd
import pytest

from conftest import ROOT
from ifam.paper import results
from ifam.paper import tables
from ifam.paper.claims import judged
from ifam.paper.tables import Kept

METHODS = ROOT / "figures" / "methods"


@pytest.fixture(scope="module")
def rows():
    "The table's rows, gathered again by the names of the runs."
    kept = results.read(METHODS / "runs")
    rates = pd.read_csv(METHODS / "table_rates.csv")
    factor = rates[rates["chosen"]].set_index("method")["factor"]
    names = {"ERM": f"erm-x{factor['erm']:g}-seed", "PDiscoFormer": f"pdiscoformer-x{factor['pdiscoformer']:g}-seed", "iFAM": "ifam-seed",
             "iFAM, straight_through=none": "ifam-none-seed", "ERM, 50 %": f"erm-50-x{factor['erm']:g}-seed"}
    return {method: [r for name, r in kept.items() if name.startswith(start)] for method, start in names.items()}


def test_the_table_is_computed_from_the_predictions(rows):
    committed = pd.read_csv(METHODS / "table_main.csv")
    pd.testing.assert_frame_equal(results.compare(rows), committed, check_dtype=False, atol=1e-6)
    assert results.compare_markdown(committed) in (METHODS / "table_main.md").read_text()


def test_the_differences_are_computed_from_the_predictions(rows):
    for row in pd.read_csv(METHODS / "table_gaps.csv").to_dict("records"):
        again = results.difference(rows["iFAM"], rows[row["WGA, points"].removeprefix("iFAM over ")])["WGA"].difference
        assert (float(again), again.low, again.high) == pytest.approx((row["points"], row["low"], row["high"]), abs=1e-6)


def test_every_method_saw_the_same_images(rows):
    "Same backbone, same epochs, same number of training images."
    for key in ("backbone", "epochs", "image_size", "batch_size"):
        assert len({r.saved["config"][key] for runs in rows.values() for r in runs}) == 1
    assert len({sum(r.saved["data"]["train"]["groups"]) for runs in rows.values() for r in runs}) == 1
    assert all(len(runs) == 3 for runs in rows.values())


GRID = ROOT / "figures" / "demo"


@pytest.fixture(scope="module")
def kept():
    return Kept("demo", results.read(GRID / "runs"))


@pytest.mark.parametrize("table", sorted(f.stem.removeprefix("table_") for f in GRID.glob("table_??.csv")) + sorted(f.stem.removeprefix("table_") for f in GRID.glob("table_?.csv")))
def test_every_number_of_the_papers_tables_is_computed_from_the_predictions(table, kept):
    committed = pd.read_csv(GRID / f"table_{table}.csv", dtype=dict(table=str))
    ours = committed["note"].eq("not in the paper")
    again = tables.cells(table, kept, committed[ours][["table", "dataset", "method", "K", "intervention", "metric", "value", "note"]].to_dict("records"))
    for column in ("value", "sd", "low", "high", "n", "seeds"): pd.testing.assert_series_equal(again[column], committed[column], check_dtype=False, atol=1e-6)
    assert tables.markdown(tables.readable(again)) in (GRID / f"table_{table}.md").read_text()


def test_the_results_table_is_computed_from_the_predictions(kept):
    committed = pd.read_parquet(GRID / "results.parquet")
    names = sorted(committed["run"].unique())[::7]                     # every seventh run: all of them take minutes
    again = results.tidy({n: kept.runs[n] for n in names})
    pd.testing.assert_frame_equal(again, committed[committed["run"].isin(names)].reset_index(drop=True), check_dtype=False, atol=1e-6)


def test_every_claim_is_judged_from_the_predictions(kept):
    pd.testing.assert_frame_equal(judged(kept), pd.read_csv(GRID / "claims.csv", dtype=dict(section=str)).fillna(dict(why="")), check_dtype=False, atol=1e-6)
