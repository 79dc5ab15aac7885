#!/usr/bin/env python
"""Run Django's management commands with this project's settings."""

import sys

from webhooklog.command_line import run

if __name__ == "__main__":
    run(sys.argv)
