"""Whether VMs can live-migrate and node drains can complete. This package does not use RBAC."""
