"""Build .venv from requirements.lock, with a bar and the time left:   python3.11 tools/environment.py

Every file is checked against its hash in the lock. What pip says is kept in .venv/install.log.
"""
import subprocess, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV, LOCK = ROOT/'.venv', ROOT/'requirements.lock'
LOG, PYTHON = VENV/'install.log', VENV/'bin/python'


def share_done(log: str, n: int) -> float:
    "How much is behind us, 0 to 1: fetching the `n` packages is one half, unpacking them the other."
    fetched = sum(line.startswith(('Collecting ', 'Processing ', 'Requirement already')) for line in log.splitlines())
    unpacked = len(list(VENV.glob('lib/python*/site-packages/*.dist-info'))) if '\nInstalling collected' in log else 0
    return min(fetched/n, 1)/2 + min(unpacked/n, 1)/2


def bar(share: float, seconds: float) -> str:
    "One line: a bar, the share done, the time left at the pace so far."
    left = f', about {seconds*(1 - share)/share:.0f} s left' if share > .02 else ''
    return f"environment |{'█'*round(30*share):<30}| {share:4.0%}  {seconds:.0f} s{left}"


def install(*what: str):
    "Let pip install `what`; show the bar until it is done; if it fails, stop with the end of its log."
    n, start, live = LOCK.read_text().count('=='), time.time(), sys.stdout.isatty()
    with LOG.open('w') as log:
        pip = subprocess.Popen([PYTHON, '-m', 'pip', 'install', '--progress-bar', 'off', *what], stdout=log, stderr=log, cwd=ROOT)
    while True:
        try: code = pip.wait(1 if live else 10)
        except subprocess.TimeoutExpired:
            line = bar(share_done(LOG.read_text(), n), time.time() - start)
            print(f'\r{line:<75}' if live else line, end='' if live else '\n', flush=True)
        else: break
    if live: print('\r' + ' '*75, end='\r')
    if code:
        sys.exit('\n'.join(LOG.read_text().splitlines()[-15:]) + f'\n\nThe environment could not be built: see the lines above, or all of {LOG}. '
                 'It needs the network and 8 GB of free disk.')


def main():
    if sys.version_info < (3, 11): sys.exit(f'iFAM needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}.')
    if not PYTHON.exists() and subprocess.run([sys.executable, '-m', 'venv', VENV]).returncode:
        sys.exit(f'{sys.executable} could not make a virtual environment. On Debian and Ubuntu: apt install python3.11-venv')
    install('--require-hashes', '-r', str(LOCK))
    install('--no-deps', '--no-build-isolation', '-e', str(ROOT))
    print('environment ready', flush=True)


if __name__ == '__main__': main()
