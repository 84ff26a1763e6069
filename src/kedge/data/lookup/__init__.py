"""Finds the rows nearest to a text among millions, from mapped files, in milliseconds.

build     postings of the training rows' features as an artifact of kind report
search    the nearest rows: the rarest features first, then exact weights; without an index, by reading all
"""

from kedge.data.lookup.search import nearest_rows, scan_rows
from kedge.data.lookup.types import RowHit

__all__ = ["RowHit", "nearest_rows", "scan_rows"]
