"""The matrix: every judged example is in its row once, shown or counted as elsewhere."""

from __future__ import annotations

import pytest

from chatbot.training.catalogue_report import CatalogueReport
from chatbot.training.confusion_matrix import ConfusionMatrix, confusion_matrix
from chatbot.training.models import TrainingRun
from tests.training.shop_catalogue import confused

pytestmark = pytest.mark.django_db


def matrix(*pairs: tuple[str, str, int], whole: bool) -> ConfusionMatrix:
    return confusion_matrix(CatalogueReport(TrainingRun(result=confused(*pairs))), whole=whole)


def counts(table: ConfusionMatrix) -> dict[str, list[int]]:
    return {row.intent.slug: [*(cell.count for cell in row.cells), row.elsewhere] for row in table.rows}


PAIRS = (("a", "b", 3), ("b", "a", 2), ("a", "c", 1), ("c", "calm", 1))


def test_the_whole_has_every_intent_and_every_example() -> None:
    table = matrix(*PAIRS, whole=True)
    assert table.is_whole
    assert [label.slug for label in table.intents] == ["a", "b", "c", "calm"]
    assert counts(table) == {
        "a": [6, 3, 1, 0, 0],
        "b": [2, 8, 0, 0, 0],
        "c": [0, 0, 9, 1, 0],
        "calm": [0, 0, 0, 10, 0],
    }


def test_what_was_confused_once_is_left_out_and_counted() -> None:
    table = matrix(*PAIRS, whole=False)
    assert not table.is_whole
    assert counts(table) == {"a": [6, 3, 1], "b": [2, 8, 0]}


def test_nothing_confused_often_is_an_empty_table() -> None:
    assert matrix(("a", "b", 1), whole=False).rows == ()


def test_cells_know_what_they_count() -> None:
    first, second = matrix(*PAIRS, whole=False).rows[0].cells
    assert (first.is_right, first.pair, first.shade) == (True, None, 0)
    assert second.pair is not None
    assert (second.pair.intent.slug, second.pair.given.slug) == ("a", "b")


@pytest.mark.parametrize(("count", "shade"), [(1, 2), (2, 3), (3, 4), (9, 4)])
def test_the_shade_deepens_with_the_share(count: int, shade: int) -> None:
    row = matrix(("a", "b", count), whole=True).rows[0]
    assert row.cells[1].shade == shade
