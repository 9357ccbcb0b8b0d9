"""Tests of lsm.dynamodb; a package, so that its modules may have the names of others."""
