"""The store: rows, JSON and bytes in SQLite or PostgreSQL. It knows neither HTTP, nor Celery, nor the engine."""
