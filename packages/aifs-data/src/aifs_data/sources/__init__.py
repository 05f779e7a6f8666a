"""The data sets, one file for each family.

To add the set "two-rings", write ``two_rings.py`` with a dict ``SETS = {"two-rings": Source(INFO, load)}``; sets named
"two-rings-…" go into the same file. A file whose name begins with an underscore is shared by others and holds no set.
A file imports nothing heavy at its top: all of them are imported to list the sets.
"""
