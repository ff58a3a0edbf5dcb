"""Makes tests/torch_numbers.json: what PyTorch computes for layers of ours, in float64.

    python tests/torch_numbers.py        # needs torch; made with 2.13.0

Each case holds the layer, [name, arguments], x, dy, y and dx, in our layout.
"""

import json
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_suffix(".json")

ACTIVATIONS = {
    "ReLU6": "ReLU6",
    "HardSigmoid": "Hardsigmoid",
    "ELU": "ELU",
    "Softplus": "Softplus",
    "HardSwish": "Hardswish",
    "SiLU": "SiLU",
    "GELU": "GELU",
}


def numbers(shape, seed):
    return np.random.default_rng(seed).normal(size=shape) * 3


def case(name, arguments, **arrays):
    return {"layer": [name, arguments], **{key: array.tolist() for key, array in arrays.items()}}


def main():
    import torch

    def run(make, x, dy, params=()):
        """y, dx and the gradients of params, all as torch lays them out."""
        tensors = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (x, *params)]
        y = make(*tensors)
        y.backward(torch.tensor(dy))
        return y.detach().numpy(), *(t.grad.numpy() for t in tensors)

    cases = []
    for seed, (ours, theirs) in enumerate(ACTIVATIONS.items()):
        for arguments in [[], [0.5]] if ours == "ELU" else [[]]:
            x, dy = numbers((40,), seed), numbers((40,), 100 + seed)
            x[:4] = [-3, 3, 6, 0]
            y, dx = run(getattr(torch.nn, theirs)(*arguments), x, dy)
            cases.append(case(ours, arguments, x=x, dy=dy, y=y, dx=dx))
    x, dy = numbers((2, 3, 4), 50), numbers((2, 3, 4), 51)
    y, dx = run(torch.nn.Softmax(-1), x, dy)
    cases.append(case("Softmax", [], x=x, dy=dy, y=y, dx=dx))
    x, average = numbers((3, 2, 2), 52), torch.nn.AvgPool2d
    channels_first = x.transpose(2, 0, 1)[None].copy()
    images = [
        ("ZeroPad2d", {"padding": [[1, 2], [0, 3]]}, torch.nn.ZeroPad2d((0, 3, 1, 2))),
        ("Crop2d", {"cropping": [[1, 0], [0, 1]]}, torch.nn.ZeroPad2d((0, -1, -1, 0))),
        ("Upsample2d", {"scale_factor": [2, 3]}, torch.nn.Upsample(scale_factor=(2, 3))),
        ("Upsample2d", {"scale_factor": [3, 2], "mode": "bilinear"}, torch.nn.Upsample(scale_factor=(3, 2), mode="bilinear")),
        ("Upsample2d", {"scale_factor": [1, 4], "mode": "bilinear"}, torch.nn.Upsample(scale_factor=(1, 4), mode="bilinear")),
        (
            "MaxPool2d",
            {"pool_size": [2, 3], "padding": [1, 1], "ceil_mode": True},
            torch.nn.MaxPool2d((2, 3), padding=1, ceil_mode=True),
        ),
        (
            "AvgPool2d",
            {"pool_size": 2, "padding": 1, "ceil_mode": True},
            average(2, 2, 1, ceil_mode=True, count_include_pad=False),
        ),
        ("AvgPool2d", {"pool_size": 2, "stride": 3, "ceil_mode": True}, average(2, 3, ceil_mode=True)),
        ("AvgPool2d", {"pool_size": [3, 2], "stride": 1, "padding": 1, "count_include_pad": True}, average((3, 2), 1, 1)),
        ("GlobalMaxPool2d", {}, torch.nn.AdaptiveMaxPool2d(1)),
    ]
    for ours, arguments, module in images:
        dy = numbers(module(torch.tensor(channels_first)).shape, 53)
        y, dx, dy = (image[0].transpose(1, 2, 0) for image in (*run(module, channels_first, dy), dy))
        cases.append(case(ours, arguments, x=x, dy=dy, y=y, dx=dx))
    x, w, b = numbers((1, 4, 9), 54), numbers((6, 2, 3), 55), numbers((6,), 56)
    settings = {"stride": 2, "padding": 2, "dilation": 2, "groups": 2}
    dy = numbers((1, 6, 5), 57)
    y, dx, dw, db = run(lambda *tensors: torch.nn.functional.conv1d(*tensors, **settings), x, dy, (w, b))
    weights = {"w": w.transpose(2, 1, 0)[:, None], "dw": dw.transpose(2, 1, 0)[:, None], "b": b, "db": db}
    series = {"x": x[0].T, "dy": dy[0].T, "y": y[0].T, "dx": dx[0].T}
    cases.append(case("Conv1d", settings, **series, **weights))
    PATH.write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")


if __name__ == "__main__":
    main()
