"""A model that exists only to test the engine's commands."""
