"""What `make reproduce` runs, and what its workflow calls for each step:   .venv/bin/python tools/grid.py reproduce --profile demo

The list of runs is in nbs/09_paper/01_grid.ipynb, the command in nbs/09_paper/06_reproduce.ipynb, the workflow in workflow/Snakefile.
"""
import argparse, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def reproduce(o, rest):
    from ifam.paper.reproduce import reproduce
    try: return reproduce(o.profile, o.data, o.runs, o.only, o.seeds, o.gpus, o.kept, o.dry_run, rest, ROOT)
    except (ValueError, FileNotFoundError) as error: sys.exit(str(error))


def execute(o, rest):
    from ifam.paper.execution import execute
    execute(o.stamp, o.page, ROOT, o.gpus)


def train_in_process(o, rest):
    from ifam.paper.execution import train_in_process
    train_in_process(o.config, o.folder)


def keep(o, rest):
    from ifam.paper.execution import keep_with_times
    keep_with_times(o.run, o.folder, o.name)


def results(o, rest):
    from ifam.paper.reproduce import write_results
    write_results(o.folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    commands = parser.add_subparsers(required=True)
    def command(do, *words):
        p = commands.add_parser(do.__name__); p.set_defaults(do=do)
        for word in words: p.add_argument(word)
        return p
    p = command(reproduce)
    p.add_argument('--profile', default='demo', help='demo, quick, small or paper')
    p.add_argument('--data', default='', help='folder with the datasets, each under its name; empty: the twins')
    p.add_argument('--runs', default='', help='folder for the runs; empty: runs/grid')
    p.add_argument('--only', default='', help='beginnings of names of runs, with commas; empty: all')
    p.add_argument('--seeds', type=int, default=0, help='of the rows with a claim; 0: as the profile says')
    p.add_argument('--gpus', type=int, default=0, help='of one training; 0: one for the profiles paper and small, none for the others')
    p.add_argument('--kept', action='store_true', help='take the predictions that come with the checkout where they hold, and make the rest')
    p.add_argument('--dry-run', action='store_true', help='say what would be done, and about how long it takes')
    p = command(execute, 'stamp', 'page')
    p.add_argument('--gpus', type=int, default=0, help='that the step may use; a run is trained by one process a GPU')
    command(train_in_process, 'config', 'folder'); command(keep, 'run', 'folder', 'name'); command(results, 'folder')
    o, rest = parser.parse_known_args()
    sys.exit(o.do(o, rest) or 0)


if __name__ == '__main__': main()
