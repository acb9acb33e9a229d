"""Running plans: the stream of calls, threads, and sessions. Sees only plans."""
