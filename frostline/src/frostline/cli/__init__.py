"""The command line: one module a command. What is printed for programs (`--json`) is as stable as an API; what is printed for people is not."""
