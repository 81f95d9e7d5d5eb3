"""What an operator sees of the service: metrics, logs, traces, and the machine it runs on. No biometrics, no paths."""
