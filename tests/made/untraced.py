"""The environment of a process that coverage does not trace."""

import os


def untraced_environment() -> dict[str, str]:
    """This process's environment without coverage's variables, for a process with an audit hook.

    In Python 3.11 two threads that install a trace function while a hook runs Python's code fail: "Cannot install a
    trace function while another trace function is being installed".
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}
