"""What to do where Python finds the sources of this package in place of the installed package."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def explained(error: ModuleNotFoundError) -> ImportError | None:
    """An error that helps, if all that is missing is the compiled module of a source tree."""
    if error.name != "convgrad_embedded._native" or not (_ROOT / "csrc").is_dir():
        return None
    return ImportError(
        f"Python found the sources of convgrad_embedded in {_ROOT} before an installed package; they are not compiled.\n"
        "Start Python in another directory (after `pip install .`), or compile them: `pip install --editable .`"
    )
