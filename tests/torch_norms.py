"""PyTorch's group, instance and layer normalisation on numbers that NumPy draws, for test_norms.py, which needs no PyTorch.

pip install torch numpy
python tests/torch_norms.py > tests/torch_norms.json
"""

import json

import numpy as np

SHAPE, EPS = (2, 3, 2, 6), 2.0**-7  # N, H, W, C; a binary32 number
STEPS, BATCH = 8, 4


def drawn():
    """x, dy, w and b of a channel, w and b of a number."""
    rng = np.random.default_rng(40)
    return [rng.normal(1.0, 2.0, shape) for shape in (SHAPE, SHAPE, SHAPE[3:], SHAPE[3:], SHAPE[1:], SHAPE[1:])]


def trained():
    """Weights of the network below in this package's order, samples and labels of all steps."""
    rng = np.random.default_rng(41)
    shapes = [(3, 3, 2, 4), (4,), (4,), (3, 2, 4), (3, 2, 4), (24, 3), (3,)]
    weights = [0.4 * rng.normal(size=shape) + (len(shape) == 1) for shape in shapes]
    return weights, rng.normal(size=(STEPS, BATCH, 5, 4, 2)), rng.integers(0, 3, (STEPS, BATCH))


def main():
    import torch  # type: ignore[import-not-found]
    from torch.nn import functional

    def tensor(array, channels_last=True):
        array = np.moveaxis(array, -1, 1) if channels_last and array.ndim == 4 else array
        return torch.tensor(np.ascontiguousarray(array), dtype=torch.float64, requires_grad=True)

    def numbers(gradient):
        array = gradient.detach().numpy()
        return [float(f"{number:.15g}") for number in (np.moveaxis(array, 1, -1) if array.ndim == 4 else array).ravel()]

    def of_operator(function, w, b, last):
        x, dy = tensor(drawn()[0], not last), tensor(drawn()[1], not last)
        y = function(x, w, b)
        (y * dy).sum().backward()
        order = (lambda t: [float(f"{n:.15g}") for n in t.detach().numpy().ravel()]) if last else numbers
        return {"y": order(y), "dx": order(x.grad), "dw": order(w.grad), "db": order(b.grad)}

    _, _, w, b, w_all, b_all = drawn()
    found = {
        f"group {groups}": of_operator(
            lambda x, w, b, groups=groups: functional.group_norm(x, groups, w, b, EPS), tensor(w), tensor(b), False
        )
        for groups in (1, 2, 3, 6)
    }
    found["instance"] = of_operator(
        lambda x, w, b: functional.instance_norm(x, weight=w, bias=b, eps=EPS), tensor(w), tensor(b), False
    )
    found["layer"] = of_operator(
        lambda x, w, b: functional.layer_norm(x, SHAPE[1:], w, b, EPS), tensor(w_all), tensor(b_all), True
    )

    weights, x, labels = trained()
    conv, group_w, group_b, layer_w, layer_b, dense, dense_b = (tensor(w, False) for w in weights)
    parameters = [conv, group_w, group_b, layer_w, layer_b, dense, dense_b]
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
    losses = []
    for step in range(STEPS):
        h = functional.conv2d(tensor(x[step]), conv.permute(3, 2, 0, 1))
        h = functional.relu(functional.group_norm(h, 2, group_w, group_b))
        h = functional.layer_norm(h.permute(0, 2, 3, 1), (3, 2, 4), layer_w, layer_b)
        loss = functional.cross_entropy(h.reshape(BATCH, -1) @ dense + dense_b, torch.tensor(labels[step]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(f"{loss.item():.15g}"))
    print(json.dumps({"torch": torch.__version__, "operators": found, "losses": losses}, indent=None).replace("}, ", "},\n"))


if __name__ == "__main__":
    main()
