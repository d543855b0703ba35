"""The page on which runs are looked at: what there is, one run, two side by side, its pairs, and work under way.

It is read-only. All that it shows is read from the files of the runs; what it derives, to be fast, is kept in a cache.
"""
