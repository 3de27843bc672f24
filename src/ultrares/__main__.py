"""``python -m ultrares`` is the command ``ultrares``."""

from ultrares.cli.process import run

if __name__ == "__main__":
    run()
