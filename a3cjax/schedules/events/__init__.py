"""Workers as events: who reads and writes when, and whose messages are gathered."""
