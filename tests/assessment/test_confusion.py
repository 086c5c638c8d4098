import json

import numpy as np

from pt4al_backend.assessment.confusion import as_rows, counted


def test_labels_are_rows_and_predictions_columns() -> None:
    matrix = counted(np.array([0, 0, 2, 2], np.uint8), np.array([0, 1, 1, 1], np.uint8), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 0, 0], [0, 2, 0]]
    assert json.loads(json.dumps(as_rows(matrix))) == matrix.tolist()


def test_many_classes_in_small_integers_do_not_overflow() -> None:
    assert counted(np.array([200], np.uint8), np.array([199], np.uint8), 201)[200, 199] == 1
