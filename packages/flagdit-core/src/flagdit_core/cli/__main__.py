"""``python -m flagdit_core.cli`` is ``lumina``; ``torchrun -m flagdit_core.cli train ...`` starts it on many devices."""

import sys

from flagdit_core.cli import main

sys.exit(main())
