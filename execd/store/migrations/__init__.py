"""How the tables came to be as they are: one module a step, in `versions/`, run by Alembic."""
