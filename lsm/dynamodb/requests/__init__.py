"""Requests as they come in, read and checked up to the point where their table must be looked at."""
