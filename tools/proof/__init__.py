"""The proof of the durability contract: simulated crashes, injected faults, real kills, rot, checked histories.

Run by `python tools/prove.py`, for as long as one likes, and in short by the tests.
"""
