"""HTTP only: what comes in is checked and handed to the store, what is in the store goes out as JSON or bytes."""
