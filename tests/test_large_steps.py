"""A small file with a large dilation: predictions of each kernel set stay inside the tensor.

A kernel of one column may have any dilation. Its step is never taken, but a tile goes over it and back. Of 4 channels it
is 2^31 elements here, so steps of 32 bits would lead 16 GB beside the tensor where pointers are wider.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import convgrad_embedded as cg

SHAPE = (5, 3, 4)
PREDICT = """
import sys
import numpy as np
import convgrad_embedded as cg
net = cg.Network.load(sys.argv[1])
print(net.predict(np.fromfile(sys.argv[2], np.float32).reshape(1, 5, 3, 4)).tobytes().hex())
"""


def predict(kernels, *arguments):
    """What a process of its own prints, which may end as it likes."""
    environment = {key: value for key, value in os.environ.items() if key != "CGE_KERNELS"}
    return subprocess.run(
        [sys.executable, "-c", PREDICT, *map(str, arguments)],
        env={**environment, **({"CGE_KERNELS": kernels} if kernels else {})},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("kernels", ["tiled", "ref", None])
def test_a_small_valid_file_with_a_large_dilation_predicts(tmp_path, kernels):
    rng = np.random.default_rng(1)
    net = cg.Network(SHAPE, [cg.Conv2d(4, (2, 1), dilation=(1, 1 << 29), groups=4)], loss="mean_squared_error")
    taps, b = (rng.standard_normal(size, np.float32) for size in ((2, 4), 4))
    net.set_weights([taps.reshape(net.get_weights()[0].shape), b])
    x = rng.standard_normal(SHAPE, np.float32)
    net.save(tmp_path / "net.cge")
    x.tofile(tmp_path / "x.bin")
    done = predict(kernels, tmp_path / "net.cge", tmp_path / "x.bin")
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-300:]}"
    assert done.stdout.strip() == (b + x[:-1] * taps[0] + x[1:] * taps[1]).tobytes().hex()
