"""Alembic's steps from one schema to the next; :meth:`sharpeyes.store.database.Database.upgrade` runs them.

To add one: change ``schema.py``, write ``versions/NNNN_what.py`` after the model of the last, and let
``tests/unit/store/test_store_migrations.py`` say what differs still.
"""
