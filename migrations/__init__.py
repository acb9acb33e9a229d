"""The history of the tables. Versions import no application code: a later change of it must not change the past."""
