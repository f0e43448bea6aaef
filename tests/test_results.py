"""The committed tables are what the committed predictions say."""
import pandas as pd
import pytest

from conftest import ROOT
from ifam import results

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
