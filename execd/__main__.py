"""`python -m execd`: the command line."""

from execd.cli import main

if __name__ == "__main__":
    main()
