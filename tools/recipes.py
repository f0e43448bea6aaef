"""Record what every method does in its first steps on every dataset, under the recipes of today:   .venv/bin/python tools/recipes.py

Run it after a recipe was raised, or a method or dataset came. `--check` only says what nbs/09_paper/02_recipes.ipynb would say. Words are names of methods; without
any, all are recorded.
"""
import argparse, json, sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from ifam.paper.recipes import RECORD, all_first_steps, guard
from ifam.core.runs import write_json


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('methods', nargs='*', help='names of methods; none: all')
    parser.add_argument('--datasets', nargs='*', default=[], help='names of datasets; none: all')
    parser.add_argument('--check', action='store_true', help='compare with the record, write nothing')
    o = parser.parse_args()
    from tqdm import tqdm
    recorded = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    today = all_first_steps(o.methods, o.datasets, tqdm)
    if o.check: sys.exit(guard(recorded, today) or 0)
    if said := guard(recorded, today): print(said)
    write_json(RECORD, recorded | today if o.methods or o.datasets else today)


if __name__ == '__main__': main()
