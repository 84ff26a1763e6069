"""`python -m kedge.serve.servers.leash PARENT PROGRAM ...`: becomes a program that ends when the gateway does."""

from __future__ import annotations

import os
import sys

from kedge.serve.worker import die_with_parent


def main() -> None:
    """Have the kernel end this process with its parent (Linux), and become the program."""
    die_with_parent(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - its arguments are a list, and no shell reads them


if __name__ == "__main__":
    main()
