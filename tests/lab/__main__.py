import sys

from tests.lab import kernel, packages
from tests.lab.build import build_scenario
from tests.lab.scenarios import SCENARIOS

packages.ensure_tools()
k = kernel.ensure_kernel(sys.argv[1])
build_scenario(SCENARIOS[sys.argv[2]], k)
