"""How near a case is to what the model was trained on: in how many fields it differs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..problem import Problem

MOST = 10_000  # training cases that are kept


class Neighbours:
    """The different cases of a training table, as places in lists of values.

    Parameters
    ----------
    numbers
        ``values``: for each field the values that occur; ``cases``: a line per case with the place
        of its value in each of these lists.
    """

    def __init__(self, numbers: Mapping[str, Any]) -> None:
        self.numbers = numbers
        self._names = list(numbers["values"])
        self._places = [
            {value: place for place, value in enumerate(values)}
            for values in numbers["values"].values()
        ]
        self._cases = np.array(numbers["cases"], dtype=np.int16).T.copy()

    @classmethod
    def of(cls, problem: Problem, table: Any) -> "Neighbours":
        """Those of a processed table."""
        cases = table[list(problem.names)].drop_duplicates().head(MOST)
        values = {name: sorted(set(cases[name].tolist())) for name in problem.names}
        places = [
            [{v: i for i, v in enumerate(values[name])}[cell] for cell in cases[name].tolist()]
            for name in problem.names
        ]
        return cls({"values": values, "cases": np.array(places).T.tolist()})

    def distances(self, columns: Any) -> np.ndarray:
        """The number of fields in which each case of a table differs from the nearest one."""
        cells = [np.asarray(columns[name]).tolist() for name in self._names]
        return np.array([self._distance(case) for case in zip(*cells)])

    def distances_of_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[int]:
        """The same for a few cases."""
        return [self._distance([row[name] for name in self._names]) for row in rows]

    def _distance(self, cells: Sequence[Any]) -> int:
        case = [[places.get(cell, -1)] for places, cell in zip(self._places, cells)]
        differ = self._cases != np.array(case, dtype=np.int16)
        return int(np.add.reduce(differ.view(np.uint8), axis=0, dtype=np.uint16).min())
