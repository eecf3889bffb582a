"""The approvals file: who may hold live migration, and who decided so."""
