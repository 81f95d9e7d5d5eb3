"""The subcommands of `visavis` that learn and measure, one a file."""
