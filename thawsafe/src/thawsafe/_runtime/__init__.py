"""Where the core meets the process: the clocks, the counts, the deadline, the log. No thread, no timer, nothing in the background."""
