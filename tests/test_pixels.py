"""Pictures as they come (bytes in files) become samples in one way: divided by 256, which no machine rounds."""

import gzip
import re
import struct

import numpy as np
import pytest
from nets import SPECS

import convgrad_embedded as cge
from convgrad_embedded import datasets

# ---- messages that lead to a right result --------------------------------------------------------------------


def advice(call, name):
    """The expression that the error recommends."""
    with pytest.raises(TypeError) as caught:
        call()
    return re.findall(rf"(np\.asarray\({re.escape(name)}, np\.float32\)(?: / 256)?)", str(caught.value))[-1]


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64, np.uint16])
def test_following_the_message_about_pixels_trains_a_network(kind):
    """Conversion alone, which is what the message said once, ends at chance."""
    (digits, y), _ = cge.datasets.load_digits()
    x = np.minimum(digits * 256, 255).astype(kind)
    net = SPECS["digits"].network()
    text = advice(lambda: net.fit(x, y), "x")
    samples = eval(text, {"np": np, "x": x})
    assert samples.dtype == np.float32 and samples.max() == 255 / 256
    net.fit(samples, y, epochs=3, batch_size=32, track_accuracy=False, verbose=False)
    assert net.evaluate(samples, y).accuracy > 0.9


def test_the_advice_is_also_for_lists_validation_data_and_targets():
    picture = np.full((2, 8, 8, 1), 200, np.uint8)
    night = np.zeros((2, 8, 8, 1), np.uint8)
    good = picture / np.float32(256)
    net = SPECS["digits"].network()
    assert advice(lambda: net.predict(picture.tolist()), "x").endswith("/ 256")
    assert advice(lambda: net.predict(night), "x").endswith("/ 256")
    name = "validation_data[0]"
    text = advice(lambda: net.fit(good, [1, 2], validation_data=(picture, [1, 2])), name)
    assert text == "np.asarray(validation_data[0], np.float32) / 256"
    same = cge.Network((8, 8, 1), [cge.Conv2d(1, 3, padding="same")], "mse", cge.SGD(0.1))
    assert advice(lambda: same.train_on_batch(good, picture), "y").endswith("/ 256")


@pytest.mark.parametrize("value", [np.array([[[[-3], [700]]]]), np.array([[[[0], [1]]]]), np.array([[[[True], [False]]]])])
def test_numbers_that_are_no_pixels_are_only_converted(value):
    net = cge.Network((1, 2, 1), [cge.Dense(2)])
    text = advice(lambda: net.predict(value), "x")
    assert text == "np.asarray(x, np.float32)"
    assert net.predict(eval(text, {"np": np, "x": value})).shape == (1, 2)


def test_one_scale_in_code_documents_and_examples(root):
    """No picture is divided by 255 anywhere."""
    pages = [root / "README.md", *(root / "docs").glob("*.md")]
    folders = [root / name for name in ("convgrad_embedded", "examples", "benchmarks", "csrc")]
    sources = [path for folder in folders for path in folder.rglob("*.[pch]*")]
    assert len(pages) > 3 and len(sources) > 50
    for path in [*pages, *sources]:
        if path.suffix in (".md", ".py", ".c", ".h"):
            found = re.search(r"/ ?(?:np\.float32\()?255\b", path.read_text(encoding="utf-8"))
            assert found is None, f"{path}: {found}"


# ---- idx files -----------------------------------------------------------------------------------------------

KINDS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def idx(array):
    """The format, written down a second time."""
    code = next(code for code, kind in KINDS.items() if np.dtype(kind) == array.dtype)
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize("code", KINDS)
@pytest.mark.parametrize("shape", [(), (5,), (2, 0), (3, 2, 4)])
def test_idx_files_of_every_type(code, shape, tmp_path):
    array = np.arange(np.prod(shape, dtype=int)).astype(KINDS[code]).reshape(shape)
    for data in (idx(array), gzip.compress(idx(array))):
        (tmp_path / "file").write_bytes(data)
        read = datasets.load_idx(tmp_path / "file")
        assert read.shape == shape and read.dtype == np.dtype(KINDS[code]).newbyteorder("=") and read.dtype.isnative
        assert np.array_equal(read, array) and read.flags.writeable


def test_damaged_idx_files_are_refused(tmp_path):
    path = tmp_path / "file"
    good = idx(np.arange(6, dtype=np.uint8).reshape(2, 3))
    huge = struct.pack(">BBBB4I", 0, 0, 8, 4, *[2**32 - 1] * 4)
    bad = [*(good[:size] for size in range(len(good))), good + b"\0", b"\1" + good[1:], good[:2] + b"\x0a" + good[3:], huge]
    for data in [*bad, *map(gzip.compress, bad), gzip.compress(good)[:-3], b"\x1f\x8b" + good]:
        path.write_bytes(data)
        with pytest.raises(ValueError, match="file"):
            datasets.load_idx(str(path))
    with pytest.raises(FileNotFoundError):
        datasets.load_idx(tmp_path / "missing")


# ---- Fashion-MNIST -------------------------------------------------------------------------------------------


def write_fashion(directory, mark, end):
    pixels = np.arange(3 * 28 * 28, dtype=np.uint32).reshape(3, 28, 28).astype(np.uint8)
    for part, count in (("train", 3), ("t10k", 2)):
        for name, array in (("images{}idx3", pixels[:count]), ("labels{}idx1", np.arange(count, dtype=np.uint8))):
            data = idx(array)
            path = directory / f"{part}-{name.format(mark)}-ubyte{end}"
            path.write_bytes(gzip.compress(data) if end else data)
    return pixels


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("mark", "-.")
def test_fashion_mnist_under_its_usual_names(mark, end, tmp_path):
    pixels = write_fashion(tmp_path, mark, end)
    (x, y), (x_test, y_test) = datasets.load_fashion_mnist(tmp_path)
    assert np.array_equal(x * 256, pixels[..., None]) and np.array_equal(x_test, x[:2])
    assert x.dtype == np.float32 and y.dtype == np.int32 and y.tolist() == [0, 1, 2] and y_test.tolist() == [0, 1]


def test_fashion_mnist_is_found_where_debian_puts_it(tmp_path, monkeypatch):
    """The first of the two directories that is there."""
    assert datasets.FASHION_MNIST_DIRECTORIES == ("/usr/share/datasets/fashion-mnist", "/usr/share/dataset-fashion-mnist")
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setattr(datasets, "FASHION_MNIST_DIRECTORIES", (str(first), str(second)))
    with pytest.raises(FileNotFoundError, match="first.*apt install dataset-fashion-mnist"):
        datasets.load_fashion_mnist()
    for directory in (second, first):
        directory.mkdir()
        write_fashion(directory, "-", ".gz")
        assert datasets.load_fashion_mnist()[0][0].shape == (3, 28, 28, 1)
    (first / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="first"):
        datasets.load_fashion_mnist()


def test_files_of_another_kind_are_not_fashion_mnist(tmp_path):
    write_fashion(tmp_path, "-", "")
    for array in (np.zeros((3, 28, 28), ">f4"), np.zeros((3, 28), np.uint8)):
        (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(array))
        with pytest.raises(ValueError, match="train-images-idx3-ubyte: expected unsigned bytes with 3 axes"):
            datasets.load_fashion_mnist(tmp_path)
