"""The benchmarks' own modules are beside these tests, and import each other by their names."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
