"""Single questions about a cluster, each with a result type of its own."""
