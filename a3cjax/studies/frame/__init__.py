"""What all studies share. A study is what is unique to it: its grid, its runs, its sentences, its picture.

- ``study``: ``Study``, which prints a table and writes four files; ``StudyInterrupted``.
- ``layout``: a dataset declared variable by variable.
- ``runs``: numbers of workers, seeds and samplings checked; keys and schedules; batches of runs, whose records are put
  in their place, NaN where a run was lost, and kept on Ctrl-C.
- ``rows``: rows made cell by cell from a dataset; which of their fields are columns of the table.
- ``target``, ``crossing``: what runs of any learner have to meet, and when they do.
- ``statistics``: intervals of ratios, slopes and shares; those of means are in ``_core/statistics``.
- ``axes``: the look of a figure. ``tables``: text, CSV and JSON. ``beginning``: what is said before the work begins.
"""
