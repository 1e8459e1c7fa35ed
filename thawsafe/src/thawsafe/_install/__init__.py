"""Making the clients of a function safe without touching its code."""
