"""The data sets, one file for each family.

To add the set "two-rings", write ``two_rings.py`` with a dict ``SETS = {"two-rings": Source(INFO, load)}``; sets named
"two-rings-…" go into the same file. A file whose name begins with an underscore is shared by others and holds no set.
A file imports nothing heavy at its top: all of them are imported to list the sets.

A set that is downloaded has a `Download` as well: its files with size, SHA-256 and addresses, a generator that decodes
them to arrays, and what these arrays must be. ``aifs-data fetch two-rings`` tries it; a load that finds other arrays
than the registry promises says what it expected and what came. And it has a ``standin`` for when there is no network.

Nothing else is edited. ``nox -s docs`` draws the set's page.
"""
