"""From reviewed conversations and the catalogue to the rows of a dataset.

`reading` fetches, `rows` redacts and lays out, `selection` splits, caps and takes out repeats. All but `reading` is
pure. Given the same database, options and code, the same rows come out in the same order.
"""
