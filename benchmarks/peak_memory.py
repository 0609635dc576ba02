"""Print the most memory, in bytes, that a command held resident: ``python -I -S peak_memory.py COMMAND ...``.

A program of its own that imports next to nothing, because the kernel's figure for a process begins with the memory of
the one that started it: a test process that holds torch would be what is measured.
"""

import os
import subprocess
import sys

process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
if process.returncode:
    sys.exit(f"{sys.argv[1:]} ended with exit code {process.returncode}")
sys.stdout.write(str(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)))
