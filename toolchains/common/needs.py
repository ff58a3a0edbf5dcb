"""Prints what extras of the installed package need, one requirement a line: needs.py EXTRA [EXTRA ...]"""

import re
import sys
from importlib.metadata import requires

for requirement in requires("convgrad-embedded") or []:
    name, _, marker = requirement.partition(";")
    if any(re.search(f"extra == ['\"]{extra}['\"]", marker) for extra in sys.argv[1:]):
        print(name.strip())
