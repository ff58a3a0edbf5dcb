"""The configs of a network's layers as constants of the exported C: what each is for, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from convgrad_embedded import _c_model

if TYPE_CHECKING:
    from convgrad_embedded._network import Network


class Config(NamedTuple):
    """A cge_<struct>, and the first layer that points to it."""

    struct: str
    fields: dict[str, Any]
    layer: int

    def name(self, network_name: str) -> str:
        return f"{network_name}_{self.struct}_{self.layer}"


_Key = tuple[str, tuple[Any, ...]]


def rows(network: Network) -> list[_c_model.LayerRow]:
    return [layer.c_row(info.in_shape[:2]) for layer, info in zip(network.layers, network.layer_infos)]


def key(row: _c_model.LayerRow) -> _Key | None:
    """Equal for rows that point to one config."""
    return None if row.config is None else (row.config, tuple(sorted(row.fields.items())))


def configs(network: Network) -> dict[_Key, Config]:
    """In the order of the layers; layers with equal ones share it."""
    found: dict[_Key, Config] = {}
    for index, row in enumerate(rows(network)):
        own = key(row)
        if row.config is not None and own is not None:
            found.setdefault(own, Config(row.config, row.fields, index))
    return found
