"""The server's command: everything in one (`up`), or its parts for production."""
