"""What pyproject.toml cannot say: the compiled module, its stable-ABI tag, and the version, which is in the C header."""

import runpy

from setuptools import setup

declarations = runpy.run_path("convgrad_embedded/_build/declarations.py")

setup(
    version=declarations["version"](),
    cffi_modules=["convgrad_embedded/_build/native.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp39"}},
)
