"""The subcommands of `visavis`, one a file."""
