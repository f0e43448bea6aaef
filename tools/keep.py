"""Put the outputs of an executed copy into its notebook:   .venv/bin/python tools/keep.py runs/demo/train.ipynb nbs/train.ipynb

papermill runs a copy; the notebook that people read should show what it showed. Progress bars keep their last line, pictures a palette of 128 colours,
and papermill's own cells stay out.
"""
import base64, io, subprocess, sys
from pathlib import Path

import nbformat
from PIL import Image


def small(png: str) -> str:
    "The same picture in 128 colours."
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert('RGB').quantize(128, dither=Image.Dither.NONE)
    picture.save(file := io.BytesIO(), 'PNG', optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def tidy(outputs: list) -> list:
    "Outputs without the frames of a progress bar that the next one replaced."
    kept, frames = [], {}
    for o in outputs:
        if o.output_type == 'stream' and o.name == 'stderr':
            for line in o.text.replace('\r', '\n').split('\n'):
                if line.strip() and 'IPKernelApp' not in line: frames[line.split(':')[0]] = line  # one a bar, by its name
            continue
        if 'image/png' in o.get('data', {}): o.data['image/png'] = small(o.data['image/png'])
        kept.append(o)
    if frames: kept.insert(0, nbformat.v4.new_output('stream', name='stderr', text='\n'.join(frames.values()) + '\n'))
    return kept


def main(executed: Path, notebook: Path):
    ran, own = nbformat.read(executed, 4), nbformat.read(notebook, 4)
    outputs = {c.source: c.outputs for c in ran.cells if c.cell_type == 'code'}
    missing = [c.source[:60] for c in own.cells if c.cell_type == 'code' and c.source not in outputs]
    if missing: sys.exit(f'{executed} ran another version of {notebook}: it lacks the cell {missing[0]!r}. Run it again.')
    for cell in own.cells:
        if cell.cell_type == 'code': cell.outputs = tidy(outputs[cell.source])
    nbformat.write(own, notebook)
    subprocess.run([Path(sys.executable).parent/'nbdev_clean', '--fname', notebook], check=True)


if __name__ == '__main__': main(*map(Path, sys.argv[1:3]))
