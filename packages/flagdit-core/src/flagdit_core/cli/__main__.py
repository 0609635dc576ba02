"""``python -m flagdit_core.cli`` is ``lumina``, and ``torchrun -m flagdit_core.cli train`` starts it many times."""

import sys

from flagdit_core.cli import main

sys.exit(main())
