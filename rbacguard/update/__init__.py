"""The update as a pure function: what it takes, what it gives, which steps lead through it."""
