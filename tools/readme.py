"""README.md from nbs/index.ipynb, as it was last executed:   .venv/bin/python tools/readme.py

Cells tagged `remove-cell` stay out, of those tagged `remove-input` only the output enters. Links are written for the notebook's folder; here they are
turned to the root's.
"""
import posixpath, re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter
from traitlets.config import Config

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r'(\]\(|src="|href=")(?![a-z]+:|#|/)([^)"#\s]+)')


def to_root(markdown: str) -> str:
    "Relative links as seen from the folder above nbs/."
    return LINK.sub(lambda m: m[1] + posixpath.normpath(f'nbs/{m[2]}'), markdown)


def readme(root: Path = ROOT) -> str:
    "The text of README.md."
    remove = dict(enabled=True, remove_cell_tags={'remove-cell'}, remove_input_tags={'remove-input'})
    notebook = nbformat.read(root/'nbs/index.ipynb', 4)
    text, resources = MarkdownExporter(config=Config(TagRemovePreprocessor=remove)).from_notebook_node(notebook)
    if resources['outputs']: raise ValueError('nbs/index.ipynb: a cell shows a picture; save it under figures/ and link it, or tag the cell remove-cell.')
    return re.sub(r'\n{3,}', '\n\n', to_root(text)).strip() + '\n'


if __name__ == '__main__': (ROOT/'README.md').write_text(readme())
