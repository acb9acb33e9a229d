"""The shapes of requests and answers, one file a resource."""
