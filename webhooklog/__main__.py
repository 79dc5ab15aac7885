"""The console script: ``webhooklog`` lists webhooklog's own commands, and runs these and Django's."""

import sys

from webhooklog.command_line import run

# fmt: off
COMMANDS = {
    "The log": {
        "tail":              "Show events as they are written",
        "check_webhooks":    "Report the state of each webhook and its sources",
        "replay_deliveries": "Verify stored deliveries again, or send them to a URL",
        "import_array":      "Import the array of the tutorial's sample",
    },
    "The site": {
        "create_token":      "Create an API token",
        "watch":             "Do the background work in a process of its own",
        "rollup":            "Count events for the dashboard",
        "prune":             "Delete deliveries and events beyond the retention settings",
        "copy_log":          "Copy the log to another database",
        "diffsettings":      "Show the settings, without secrets",
    },
    "Notifications": {
        "test_channel":      "Send a test message to a channel",
        "try_rule":          "List what a rule would have sent",
        "reseal_channels":   "Encrypt the channels' secrets with a new SECRET_KEY",
    },
    "Receivers in development": {
        "send_test_webhook": "Send webhooks as CircleCI does",
        "listen":            "Forward deliveries as they arrive, for example to a laptop",
        "export_fixture":    "Write a delivery to files for tests",
    },
}
# fmt: on


def main() -> None:
    """List the commands, or run one."""
    if sys.argv[1:] in ([], ["help"], ["--help"], ["-h"]):
        sys.stdout.write(listing())
    else:
        run(["webhooklog", *sys.argv[1:]])


def listing() -> str:
    """Return webhooklog's commands with one line for each."""
    lines = ["usage: webhooklog COMMAND [ARGUMENTS]"]
    for title, commands in COMMANDS.items():
        lines += ["", f"{title}:", *(f"  {name:<18} {about}" for name, about in commands.items())]
    lines += ["", "Options and examples of a command: webhooklog COMMAND --help"]
    lines += ["All commands, with Django's such as migrate: webhooklog help --commands"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
