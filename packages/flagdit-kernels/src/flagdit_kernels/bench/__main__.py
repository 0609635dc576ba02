"""``python -m flagdit_kernels.bench``: the same command from a checkout that is not installed."""

import sys

from flagdit_kernels.bench.command import main

sys.exit(main())
