"""The `visavis` command, one subcommand a file."""
