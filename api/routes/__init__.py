"""The paths, one file a resource. No SQL here, and one transaction for each request that writes."""
