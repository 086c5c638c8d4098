"""Migrations: each script turns the tables of one release into those of the next, on SQLite and PostgreSQL.

To change a table: change `tables.py`, add `vNNNN_what.py` here with the next number, whose `upgrade` makes the same
change with Alembic's operations (in batch mode, which SQLite needs), and set `tables.REVISION` to that number.
`tests/store/test_migrate.py` runs the scripts on an empty database and compares the result with `tables.py`.
"""
