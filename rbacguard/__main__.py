"""`python -m rbacguard`."""

from rbacguard.cli import main

if __name__ == "__main__":
    main()
