"""`python -m lsm` is the command `lsm`."""

import sys

from lsm.cli import main

sys.exit(main())
