"""What `make test` runs:   .venv/bin/python tools/check.py

tests/ through pytest and each module notebook, whole, through nbdev_test; the last line counts them all.
"""
import os, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
CORES = len(os.sched_getaffinity(0))
LONG = 'test_reproduce', 'test_papermill', 'test_runs', 'test_data'  # minutes each: first, so that no core waits for one at the end
WORKERS = max(1, min(CORES, 4))  # notebooks at a time, each with its share of the cores


def pytest() -> tuple[int, int, int]:
    "Passed, failed and skipped tests of tests/."
    files = sorted((ROOT/'tests').glob('test_*.py'), key=lambda f: (LONG.index(f.stem) if f.stem in LONG else len(LONG), f.stem))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder)/'report.xml'
        code = subprocess.run([sys.executable, '-m', 'pytest', *files, '-n', str(WORKERS), '--dist', 'loadfile', '--no-loadscope-reorder',
                               '--durations=20', f'--junitxml={report}'], cwd=ROOT).returncode
        if not report.exists(): return 0, 1, 0
        suites = ElementTree.parse(report).getroot().iter('testsuite')
        n, failed, skipped = (sum(x) for x in zip(*((int(s.get('tests')), int(s.get('failures')) + int(s.get('errors')), int(s.get('skipped'))) for s in suites)))
    return n - failed - skipped, max(failed, code != 0), skipped


def nbdev_test(notebook: Path) -> tuple[Path, bool, float, str]:
    "Run one notebook from top to bottom: did it pass, in how many seconds, what did it say?"
    start, threads = time.time(), str(max(1, CORES//WORKERS))
    env = {**os.environ, 'OMP_NUM_THREADS': threads, 'MPLBACKEND': 'agg', 'PYTHONWARNINGS': 'ignore'}
    run = subprocess.run([BIN/'nbdev_test', '--path', notebook, '--n_workers', '0', '--do_print'],
                         cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    ok = run.returncode == 0 and f'- Completed {notebook}' in run.stdout  # a notebook that nbdev leaves out prints neither line
    return notebook, ok, time.time() - start, run.stdout


def notebooks() -> tuple[int, int]:
    "Passed and failed notebooks of nbs/: the modules and the index. Those with parameters run in tests/, through papermill."
    todo = [*sorted((ROOT/'nbs').glob('[0-9]*/[0-9]*.ipynb')), ROOT/'nbs/index.ipynb']
    passed, start = 0, time.time()
    with ThreadPoolExecutor(WORKERS) as pool:
        for i, (notebook, ok, seconds, said) in enumerate(pool.map(nbdev_test, todo), 1):
            passed += ok
            left = (time.time() - start)/i*(len(todo) - i)
            print(f"{'ok    ' if ok else 'FAILED'} {notebook.parent.name + '/' + notebook.stem:<32} {seconds:5.1f} s   [{i} of {len(todo)}, about {left:.0f} s left]", flush=True)
            if not ok: print(said)
    return passed, len(todo) - passed


def main():
    print('== notebooks', flush=True)
    right, wrong = notebooks()
    print('== tests', flush=True)
    passed, failed, skipped = pytest()
    print(f'{right + passed} passed, {wrong + failed} failed' + (f', {skipped} skipped' if skipped else ''))
    sys.exit(wrong + failed > 0)


if __name__ == '__main__': main()
