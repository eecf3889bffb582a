"""Many clusters at once: which there are, what each says, who does the work, and the sum of it."""
