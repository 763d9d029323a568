"""The benchmark of generators: rows of one table, all on one split of one cohort, measured cell by cell.

cells.py names a cell and its result, datasets.py the cohorts, rows.py how a row's images are made, judging.py and
likeness.py the figures, running.py the processes and the file of results, table.py what is read in the end.
The figures are computed on real people without noise: results of a private cohort stay on site.
"""
