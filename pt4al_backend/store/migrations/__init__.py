"""What turns the tables of one release into those of the next, a script each, for SQLite and PostgreSQL.

To change a table: change `tables.py`, add `vNNNN_what.py` here with the next number, whose `upgrade` makes the same
change with Alembic's operations (in batches, which SQLite needs), and set `tables.REVISION` to that number.
`tests/store/test_migrate.py` compares what the scripts make of an empty database with `tables.py`.
"""
