"""The client of Stoker, training as a service."""
