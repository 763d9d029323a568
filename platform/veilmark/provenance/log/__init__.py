"""A site's transparency log: every released image, in an order that can only grow, checked from static files alone.

`entries` say what is logged, `notes` and `checkpoint` sign the tree's head, `tiles` are the tree in files, `writer`
appends, `reader` proves, `proof` is what a bundle carries, `monitor` checks a whole copy. Formats are those of C2SP
(signed-note, tlog-checkpoint, tlog-tiles), so that other tools can read, mirror and witness the log.
"""
