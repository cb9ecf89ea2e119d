"""The program that kernel.json starts: a Python kernel on the connection file given with `-f`."""

import sys
from pathlib import Path


def main() -> None:
    """Run the kernel until it is shut down. User code finds the same sys.path as under ipykernel's own launcher."""
    folder = str(Path(__file__).resolve().parent)
    if not sys.flags.safe_path:
        del sys.path[0]  # where this script lies
    sys.path.insert(0, folder)
    from execd_kernel.packages import enter

    enter()
    from execd_kernel.choice import application

    app = application()
    sys.path.remove(folder)
    app.launch_instance()


if __name__ == "__main__":
    main()
