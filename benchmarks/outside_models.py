"""Do networks that others made predict here what LiteRT predicts? CSV, one line a file; status 1 if one does not.

    pip install ai-edge-litert
    python benchmarks/outside_models.py FOLDER    # .tflite files, such as MLPerf Tiny's float reference models

max_difference is over 20 random samples. LiteRT rounds activations to integers where weights are integers, so such files agree
within a hundredth, and others within 1e-5.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np

import convgrad_embedded as cge

SAMPLES = 20
MOST, MOST_OF_INTEGERS = 1e-5, 1e-2


def of_litert(path: Path, x: Any) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError:
        raise SystemExit("the comparison needs LiteRT: pip install ai-edge-litert") from None
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    outputs = []
    for sample in x:
        interpreter.set_tensor(taken["index"], sample.reshape(taken["shape"]))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(given["index"]).ravel().copy())
    return np.array(outputs)


def compare(path: Path, predict: Any = of_litert) -> dict[str, Any]:
    net = cge.Network.from_tflite(path)
    x = np.random.default_rng(0).random((SAMPLES, *net.input_shape), dtype=np.float32)
    difference = float(np.abs(net.predict(x).reshape(SAMPLES, -1) - predict(path, x)).max())
    most = MOST_OF_INTEGERS if any("int8" in note for note in net.import_notes) else MOST
    row = {"file": path.name, "parameters": net.param_count, "max_difference": f"{difference:.2e}"}
    return {**row, "agrees": difference <= most}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    rows = [compare(path) for path in sorted(folder.glob("*.tflite"))]
    if not rows:
        raise SystemExit(f"{folder}: there is no .tflite file")
    writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return int(not all(row["agrees"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
