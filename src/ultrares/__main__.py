"""``python -m ultrares`` is the command ``ultrares``."""

from ultrares.cli.app import main

if __name__ == "__main__":
    main()
