"""`./setup.sh bench [NAME…]`: run benchmarks, all of them without a name."""

import importlib
import sys

NAMES = ("accounting", "by_sample", "by_variant", "clinvar", "layouts", "scaling")

for name in sys.argv[1:] or NAMES:
    if name not in NAMES:
        sys.exit(f"error: there is no benchmark {name}. There are: {', '.join(NAMES)}.")
    importlib.import_module(f"benchmarks.{name}").main()
