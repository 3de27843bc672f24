"""The papers' tables and figures, measured by anyone with one command."""
