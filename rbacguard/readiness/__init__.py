"""Whether virtual machines will migrate when their nodes are drained."""
