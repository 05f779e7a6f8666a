"""Hand-written loops, the engine and other trainers, given the same task; `peers.py` has them compete."""
