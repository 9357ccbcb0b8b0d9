"""Tests of lsm.server; a package, so that its modules may have the names of others."""
