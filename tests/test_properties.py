"""Every reader, on files that hypothesis makes: what is read is what was written; of a file that is broken or hostile it is either that, or one error of the project that names it."""
import csv, dataclasses, io, json, math, re

import numpy as np
import pandas as pd
import pydicom
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from safetensors.numpy import save_file

from ifam.core.runs import Run, read_predictions
from ifam.datasets import cub
from ifam.datasets.imagenet import read_mapping
from ifam.datasets.records import read_csv, read_mask, read_table
from ifam.datasets.siim_acr import decode_rle, encode_rle, read_dicom, read_runs
from ifam.methods.contract import configure, methods, setting_names
from ifam.model.calibration import Calibration

many = lambda n: settings(max_examples=n, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


class Refused(Exception): "The one error that is allowed."


def asked(read, *names):
    "What a reader gives. `Refused` for an error of the project that names the file or the value; any other kind is a failure of the test."
    try: return read()
    except Exception as error:
        assert type(error) in (ValueError, FileNotFoundError, TypeError), f"of a library: {error!r}"
        assert any(str(n) in str(error) for n in names), f"names none of {names}: {error}"
        raise Refused from None


def or_refused(read, *names):
    "What a reader gives, None where it refuses."
    try: return asked(read, *names)
    except Refused: return None


@pytest.fixture(scope="module")
def place(tmp_path_factory): return tmp_path_factory.mktemp("files")


def put(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return path


@st.composite
def broken(draw, whole):
    "The bytes of a file with some bytes replaced, left out, put in or cut off."
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        at, how = draw(st.integers(0, len(data))), draw(st.sampled_from(("set", "drop", "add", "cut")))
        if how == "set" and at < len(data): data[at] = draw(st.integers(0, 255))
        elif how == "drop": del data[at:at + draw(st.integers(1, 4))]
        elif how == "add": data[at:at] = draw(st.sampled_from((b",", b"\n", b'"', b"\0", b"\xff", b" ", b"-", b"9" * 20, b"e9", "\u2028".encode(), b"\r", b"nan", b"1 ")))
        else: del data[at:]
    return bytes(data)


SIGN = st.characters(blacklist_categories=("Cs", "Cc", "Z"), blacklist_characters="\ufeff")
NAME = st.text(SIGN, min_size=1, max_size=12).filter(lambda t: t.strip() == t and t not in ("..", "."))
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=8), x, max_size=3), max_leaves=6)


# -- csv

ROWS = st.lists(st.tuples(st.integers(1, 10**6), NAME, st.integers(0, 1), st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=5, unique_by=lambda r: r[0])
COLUMNS = ("img_id", "img_filename", "y", "split", "place")


def as_csv(rows, columns):
    (writer := csv.writer(out := io.StringIO())).writerow(columns); writer.writerows(rows)
    return out.getvalue()


@many(120)
@given(ROWS)
def test_metadata_csv_is_read_as_it_was_written(place, rows):
    rows = [(i, f.replace("/", "_").replace("..", "_"), *rest) for i, f, *rest in rows]
    table = cub._birds_and_places(put(place / "metadata.csv", as_csv(rows, COLUMNS)))
    assert [tuple(r) for r in table[["id", "file", "y", "split", "place"]].itertuples(index=False)] == rows


@many(300)
@given(st.data())
def test_a_broken_metadata_csv_is_refused_or_read_as_csv_says(place, data):
    path = put(place / "metadata.csv", data.draw(broken(as_csv([(1, "a.jpg", 0, 0, 1), (20, "b c,d.jpg", 1, 2, 0), (300, 'é"e.jpg', 0, 1, 0)], COLUMNS).encode())))
    table = or_refused(lambda: cub._birds_and_places(path), path)
    if table is None: return
    plain = [r for r in csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline="")) if any(c.strip() for c in r)]
    head = [c.strip() for c in plain[0]]
    read = [tuple(r[head.index(c)].strip() for c in COLUMNS) for r in plain[1:]]
    assert [(float(a), b, float(c), float(d), float(e)) for a, b, c, d, e in read] == [tuple(r) for r in table[["id", "file", "y", "split", "place"]].itertuples(index=False)]


@many(150)
@given(st.lists(st.lists(st.text(max_size=6), min_size=2, max_size=3), max_size=4), st.lists(NAME, min_size=2, max_size=3))
def test_any_csv_is_a_table_or_one_error(place, rows, head):
    path = put(place / "any.csv", as_csv(rows, head))
    table = or_refused(lambda: read_csv(path, tuple(head[:1])), path)
    assert table is None or table.columns.is_unique and head[0] in table.columns


# -- text

@many(120)
@given(st.lists(st.tuples(st.integers(-10**9, 10**9), NAME), min_size=1, max_size=6), st.sampled_from(("\n", "\r\n")))
def test_images_txt_is_read_as_it_was_written(place, rows, end):
    table = read_table(put(place / "images.txt", end.join(f"{i} {f}" for i, f in rows) + end), dict(id=int, file=str))
    assert list(zip(table.id, table.file)) == rows


@many(300)
@given(st.data())
def test_a_broken_images_txt_is_refused_or_read_line_by_line(place, data):
    path = put(place / "images.txt", data.draw(broken("1 001.Gull/a.jpg\n22 002.Jay/b c.jpg\n333 é.jpg\n".encode())))
    table = or_refused(lambda: read_table(path, dict(id=int, file=str)), path)
    if table is None: return
    text = path.read_bytes().decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    plain = [x.split(maxsplit=1) for x in text.split("\n") if x.strip()]
    assert [(float(i), f.strip()) for i, f in plain] == list(zip(table.id, table.file))
    assert all(float(i) == int(float(i)) and abs(float(i)) < 2**53 for i, _ in plain)


# -- run lengths

def slowly(text, height, width):
    "Run lengths, one after the other."
    flat, at, numbers = np.zeros(height * width, np.uint8), 0, [int(n) for n in text.split()]
    for gap, length in zip(numbers[::2], numbers[1::2]): flat[at + gap:at + gap + length] = 1; at += gap + length
    return flat.reshape(width, height).T


@many(150)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_a_mask_comes_back_from_its_run_lengths(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) > .6
    assert (decode_rle(encode_rle(mask), height, width) == mask).all()


@many(250)
@given(st.lists(st.one_of(st.integers(0, 30).map(str), st.sampled_from(("-1", "-5", "1e3", "1.5", "٣", "²", "9" * 12, "0x1", "", "nan"))), max_size=8), st.sampled_from((" ", "  ", "\t", ",")))
def test_run_lengths_are_right_or_refused(numbers, blank):
    text = blank.join(numbers)
    try: mask = decode_rle(text, 6, 7)
    except ValueError as error: assert type(error) is ValueError and ("expected -1 or pairs" in str(error) or "ends at pixel" in str(error)), error
    else: assert (mask == (np.zeros((6, 7)) if text.split() == ["-1"] else slowly(text, 6, 7))).all()


@many(200)
@given(st.data())
def test_a_broken_rle_csv_is_refused_or_whole(place, data):
    path = put(place / "train-rle.csv", data.draw(broken(b"ImageId, EncodedPixels\n1.2.3, 3 4 5 6\n1.2.4, -1\n1.2.5,10 2\n")))
    lines = or_refused(lambda: read_runs(path), path)
    if lines is None: return
    assert all(re.fullmatch(r"[\w-][\w.-]*", u) for u in lines.uid)
    assert all(c == "-1" or len(c.split()) % 2 == 0 and all(n.isdecimal() for n in c.split()) for c in lines.code)


# -- json

@many(100)
@given(st.lists(st.integers(-1, 8), min_size=1, max_size=30))
def test_a_class_map_is_read_as_it_was_written(place, families):
    assert read_mapping(put(place / "in_to_in9.json", json.dumps({str(k): f for k, f in enumerate(families)}))).tolist() == families


@many(300)
@given(st.one_of(JSON.map(json.dumps), st.dictionaries(st.sampled_from(("0", "1", "2", " 0", "00", "-0", "1_0", "٠")), st.one_of(st.integers(-3, 12), st.booleans(), st.none(), st.floats()), max_size=3).map(json.dumps),
                 st.text(max_size=20), broken(b'{"0": 1, "1": -1, "2": 8}')))
def test_any_class_map_is_right_or_refused(place, content):
    path = put(place / "in_to_in9.json", content)
    families = or_refused(lambda: read_mapping(path), path)
    if families is None: return
    plain = json.loads(path.read_bytes())
    assert families.tolist() == [plain[str(k)] for k in range(len(plain))] and all(type(f) is int for f in plain.values())


# -- masks

@many(80)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31), st.sampled_from(("L", "1", "P", "RGB", "LA", "I;16", "F")))
def test_a_mask_is_read_as_it_was_written(place, height, width, seed, mode):
    inside = np.random.default_rng(seed).random((height, width)) > .5
    picture = {"I;16": lambda: Image.fromarray(inside.astype(np.uint16) * 300), "F": lambda: Image.fromarray(inside.astype(np.float32) / 3)}.get(
        mode, lambda: Image.fromarray(inside.astype(np.uint8) * 255).convert(mode if mode != "P" else "L").convert(mode))()
    path = place / ("m.tif" if mode == "F" else "m.png"); picture.save(path)
    assert (np.asarray(read_mask(path, (width, height))) == inside).all()


def a_png():
    inside = np.random.default_rng(0).random((9, 7)) > .5
    Image.fromarray(inside.astype(np.uint8) * 255).save(out := io.BytesIO(), "PNG")
    return inside, out.getvalue()


@many(250)
@given(st.data())
def test_a_broken_mask_is_refused_or_right(place, data):
    inside, whole = a_png()
    path = put(place / "m.png", data.draw(broken(whole)))
    mask = or_refused(lambda: read_mask(path, (7, 9)), path)
    assert mask is None or (np.asarray(mask) == inside).all()


# -- DICOM

def film(path, pixels, **fields):
    out, bits = Dataset(), 8 * pixels.itemsize
    header = dict(SOPClassUID=SecondaryCaptureImageStorage, SOPInstanceUID="1.2.3", SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", Rows=pixels.shape[0], Columns=pixels.shape[1],
                  BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=0, PixelData=pixels.tobytes() + b"\0" * (pixels.nbytes % 2))
    for name, value in (header | fields).items(): setattr(out, name, value)
    out["PixelData"].VR = "OB" if bits == 8 else "OW"
    out.file_meta = FileMetaDataset(); out.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out.save_as(path, enforce_file_format=True)
    return path


@many(60)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31), st.sampled_from((8, 10, 12, 16)), st.booleans())
def test_a_film_is_read_as_it_was_written(place, height, width, seed, bits, inverted):
    pixels = np.random.default_rng(seed).integers(0, 2**bits, (height, width)).astype(np.uint8 if bits == 8 else np.uint16)
    pixels.flat[0] = 2**bits - 1  # all of its bits are used
    assume(bits == 8 or pixels.min() < pixels.max())  # a deep film of one value is refused
    grey = np.asarray(read_dicom(film(place / "f.dcm", pixels, BitsStored=bits, HighBit=bits - 1, PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2")), float)
    assert np.abs((255 - grey if inverted else grey) - pixels / (2**bits - 1) * 255).max() <= 1


FIELDS = dict(Rows=st.integers(0, 65535), Columns=st.integers(0, 65535), BitsStored=st.integers(0, 65), BitsAllocated=st.sampled_from((0, 1, 7, 8, 12, 16, 32, 64)), HighBit=st.integers(0, 65),
              SamplesPerPixel=st.integers(0, 4), PixelRepresentation=st.integers(0, 3), PhotometricInterpretation=st.sampled_from(("MONOCHROME2", "RGB", "", "PALETTE COLOR", "MONOCHROME3", "x")), NumberOfFrames=st.sampled_from(("0", "1", "2", "99999999")))


@many(200)
@given(st.dictionaries(st.sampled_from(list(FIELDS)), st.none(), min_size=1, max_size=2).flatmap(lambda d: st.fixed_dictionaries({k: FIELDS[k] for k in d})))
def test_a_film_with_an_odd_header_is_refused_or_of_its_size(place, fields):
    path = film(place / "f.dcm", np.random.default_rng(0).integers(0, 256, (6, 5)).astype(np.uint8), **fields)
    picture = or_refused(lambda: read_dicom(path), path)
    assert picture is None or picture.mode == "L" and picture.size == (pydicom.dcmread(path).Columns, pydicom.dcmread(path).Rows)


@many(150)
@given(st.data())
def test_a_broken_film_is_refused_or_a_picture(place, data):
    whole = film(place / "w.dcm", np.arange(30, dtype=np.uint8).reshape(6, 5)).read_bytes()
    path = put(place / "f.dcm", data.draw(broken(whole)))
    picture = or_refused(lambda: read_dicom(path), path)
    assert picture is None or picture.mode == "L"


# -- a run's config.json

CONFIG = dict(erm={}, ifam=dict(K=st.integers(1, 64)), jtt=dict(upweight=st.integers(1, 200)))


@many(60)
@given(st.data())
def test_settings_come_back_from_a_run(place, data):
    method = data.draw(st.sampled_from(list(CONFIG)))
    own = data.draw(st.fixed_dictionaries(CONFIG[method] | dict(seed=st.integers(0, 2**32 - 1), epochs=st.integers(1, 500), lr_vit=st.floats(0, 1), data=st.text(max_size=9), twin_size=st.floats(.001, 10))))
    config, run = configure(method=method, **own), Run(place / "run")
    run.path("config.json").unlink(missing_ok=True); run.open(config, dict(classes=["a", "b"]))
    assert run.config == config


@many(400)
@given(st.data())
def test_odd_settings_are_refused_or_meant(place, data):
    run, config = Run(place / "odd"), configure(method=data.draw(st.sampled_from(methods())))
    run.folder.mkdir(exist_ok=True)
    name = data.draw(st.sampled_from(sorted(setting_names(config.method))))
    value = data.draw(st.one_of(JSON, st.sampled_from((10**9, -1, 10**30, float("nan"), float("inf"), "", "../x", "ifam", [], {}, True, None, 0.5))))
    put(run.path("config.json"), json.dumps(dict(config=dataclasses.asdict(config) | {name: value}, data={})))
    read = or_refused(lambda: run.config, f"{name}=", "config.json", name)
    if read is not None:
        got = getattr(read, name)
        assert type(got) is type(value) or (type(got), type(value)) == (float, int) or got == value, (name, value, got)
        assert got == value or math.isnan(got)


@many(200)
@given(st.one_of(JSON.map(json.dumps), st.text(max_size=30), broken(b'{"config": {"method": "erm", "seed": 3}, "data": {"classes": ["a", "b"]}}')))
def test_any_config_json_is_of_a_run_or_refused(place, content):
    run = Run(place / "any"); run.folder.mkdir(exist_ok=True); put(run.path("config.json"), content)
    config = or_refused(lambda: run.config, run.path("config.json"), "method=", "seed=")
    if config is not None: assert {c: json.loads(run.path("config.json").read_bytes())["config"].get(c, vars(config)[c]) for c in ("seed", "method")} == dict(seed=config.seed, method=config.method)


# -- calibration and predictions

@many(60)
@given(st.integers(1, 6), st.integers(0, 300), st.integers(0, 2**31))
def test_a_calibration_comes_back(place, K, n, seed):
    rng, found = np.random.default_rng(seed), Calibration(K, dict(hash="c0ffee"))
    for s in found.sketches.values(): s.update(rng.integers(0, K, n), rng.standard_cauchy(n).astype(np.float32))
    found.save(place / "c.safetensors"); back = Calibration.load(place / "c.safetensors")
    assert (back.K, back.data) == (found.K, found.data)
    for name, s in found.sketches.items(): assert (back.sketches[name].keys == s.keys).all() and (back.sketches[name].counts == s.counts).all()


ODD_COUNTS = dict(
    negative=lambda k, n: (k, -n), nothing=lambda k, n: (k, 0 * n), shorter=lambda k, n: (k, n[:-1]), floats=lambda k, n: (k, n.astype(float)), flat=lambda k, n: (k.ravel(), n), far=lambda k, n: (k + [[9], [0]], n),
    below=lambda k, n: (k - [[1], [0]], n), huge=lambda k, n: (k + [[0], [2**40]], n), turned=lambda k, n: (k[:, ::-1].copy(), n), twice=lambda k, n: (np.repeat(k, 2, 1), np.repeat(n, 2)))


@pytest.mark.parametrize("how", ODD_COUNTS)
@pytest.mark.parametrize("note", [{}, dict(K="x"), dict(K="-1"), dict(bits="9"), dict(data="{")])
def test_a_calibration_that_nothing_counted_is_refused(place, how, note):
    found, rng = Calibration(3), np.random.default_rng(0)
    for s in found.sketches.values(): s.update(rng.integers(0, 3, 50), rng.normal(9, 1, 50).astype(np.float32))
    tensors = {f"{name}.{part}": v for name, s in found.sketches.items() for part, v in zip(("keys", "counts"), map(np.ascontiguousarray, ODD_COUNTS[how](s.keys, s.counts)))}
    path = place / "odd.safetensors"; save_file(tensors, path, dict(K="3", bits="12", data="{}") | note)
    with pytest.raises(Refused): asked(lambda: Calibration.load(path), path)


@many(150)
@given(st.data())
def test_a_broken_calibration_is_refused_or_loads(place, data):
    found = Calibration(2); found.sketches["dot"].update(np.zeros(9, int), np.arange(9, dtype=np.float32)); found.save(place / "w.safetensors")
    path = put(place / "b.safetensors", data.draw(broken((place / "w.safetensors").read_bytes())))
    back = or_refused(lambda: Calibration.load(path), path)
    if back is not None:
        for s in back.sketches.values(): s.check(back.K)


@many(40)
@given(st.data())
def test_a_broken_table_of_predictions_is_refused_or_right(place, data):
    table = pd.DataFrame(dict(index=range(6), label=[0, 1] * 3, logit_0=np.arange(6.), logit_1=1.))
    table.to_parquet(place / "w.parquet", index=False)
    path = put(place / "p.parquet", data.draw(broken((place / "w.parquet").read_bytes())))
    back = or_refused(lambda: read_predictions(path), path)
    assert back is None or list(back.columns)  # its values bear no checksum: what is read is a table with the columns that are needed
