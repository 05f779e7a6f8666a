"""Rules of the whole workspace. No member is installed here: everything is read from the sources."""
