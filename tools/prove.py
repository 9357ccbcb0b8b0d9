"""`python tools/prove.py COMMAND`: long runs that try to break the durability contract, and say how to replay a failure."""

import sys

from proof.main import main

if __name__ == "__main__":
    sys.exit(main())
