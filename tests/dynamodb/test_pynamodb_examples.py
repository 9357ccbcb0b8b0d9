"""PynamoDB's own examples, run as they are: those of the directory that PYNAMODB_EXAMPLES names.

The package does not bring them. They are the folder `examples` of its repository, at the tag of the version that is
installed. Each script runs in one database, in this order, for some read what others wrote.
"""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest

from lsm.dynamodb import connect
from lsm.dynamodb.boto import redirected

FOLDER = os.environ.get("PYNAMODB_EXAMPLES")
SCRIPTS = (
    "model.py",
    "indexes.py",
    "attributes.py",
    "connection.py",
    "table_connection.py",
    "office_model.py",
    "optimistic_locking.py",
)


@pytest.fixture(scope="module")
def database():
    with connect(":memory:") as connection, redirected(connection):
        yield connection


@pytest.mark.skipif(FOLDER is None, reason="PYNAMODB_EXAMPLES does not name PynamoDB's folder of examples")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("script", SCRIPTS)
def test_an_example_of_pynamodb_runs(database, script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(Path(str(FOLDER)).resolve() / script), run_name="__main__")
