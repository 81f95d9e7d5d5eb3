"""The `visavis` command, one file per subcommand."""
