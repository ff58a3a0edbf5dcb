"""What pyproject.toml cannot say: the compiled module, its stable-ABI tag, and the version, which is in the C header."""

import os
import runpy
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, List

from setuptools import setup
from setuptools.command.build_ext import build_ext

declarations = runpy.run_path("convgrad_embedded/_build/declarations.py")


class ParallelBuild(build_ext):
    """Compiles as many sources at once as there are processors; setuptools takes one after the other."""

    def build_extensions(self) -> None:
        compile_all, compile_one = self.compiler.compile, self.compiler._compile

        def compile(*arguments: Any, **options: Any) -> List[str]:
            jobs: List[Future[None]] = []
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                self.compiler._compile = lambda *one: jobs.append(pool.submit(compile_one, *one))
                objects = compile_all(*arguments, **options)
            for job in jobs:
                job.result()
            return objects

        self.compiler.compile = compile
        super().build_extensions()


setup(
    version=declarations["version"](),
    cffi_modules=["convgrad_embedded/_build/native.py:ffibuilder"],
    cmdclass={"build_ext": ParallelBuild},
    options={"bdist_wheel": {"py_limited_api": "cp39"}},
)
