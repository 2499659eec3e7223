"""The store in Redis: its rows are those of the SQLite store, and a copy of them in SQLite answers all questions."""
