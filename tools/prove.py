"""`python tools/prove.py COMMAND`: long runs that try to break the durability contract, and replay what broke it."""

import sys

from proof.main import main

if __name__ == "__main__":
    sys.exit(main())
