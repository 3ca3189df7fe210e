"""Rows put together into batches with little padding, in which rows with the same beginning share it.

Help-desk rows repeat themselves: the system text stands before each of them, and the same help article before all
questions about it. A pack is one sequence that holds a stem once and after it the branches of several rows, each of
which sees the stem and itself alone, at the positions that it would have had. Several stems may stand in one pack. The
loss is that of the rows one by one; less is computed.

    pack      | stem A | branch 1 | branch 2 | stem B | branch 3 | padding |
    positions   0…9      10…21      10…17      0…7      8…20
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chatbot.inference.prompt import Ids
from chatbot.training.trainers.reply_encoding import EncodedRow

if TYPE_CHECKING:
    import torch

# How many packs are kept open while they are filled: more would find better fits and take longer.
_OPEN_PACKS = 32
_PADDING = -1


@dataclass(frozen=True, slots=True)
class Bunch:
    """Rows, by number, that share one stem in a pack, and the tokens that they take there."""

    rows: tuple[int, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Pack:
    """What becomes one sequence of a batch."""

    bunches: tuple[Bunch, ...]

    @property
    def tokens(self) -> int:
        """Its length."""
        return sum(bunch.tokens for bunch in self.bunches)

    @property
    def rows(self) -> tuple[int, ...]:
        """Its rows by number."""
        return tuple(row for bunch in self.bunches for row in bunch.rows)


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors for one pass of the model. B packs of at most L tokens; n learned ids, in the order of `rows`.

    `predictors` are the places, counted through [B · L], whose output predicts the `targets`.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    predictors: torch.Tensor
    targets: torch.Tensor
    rows: NDArray[np.int64]

    def to(self, device: str) -> Batch:
        """The same on another device."""
        tensors = ("ids", "positions", "mask", "predictors", "targets")
        return replace(self, **{name: getattr(self, name).to(device) for name in tensors})


def pack_rows(rows: Sequence[EncodedRow], order: Sequence[int], *, capacity: int) -> list[Pack]:
    """Packs of at most `capacity` tokens with the rows of `order`; a longer row has a pack of its own."""
    by_stem: dict[Ids, list[int]] = {}
    for row in order:
        by_stem.setdefault(rows[row].stem, []).append(row)
    bunches = [bunch for same in by_stem.values() for bunch in _bunches(rows, same, capacity)]
    # The large ones first, as in first-fit decreasing; the sort is stable, so equals stay in the order given.
    return _fill(sorted(bunches, key=lambda bunch: -bunch.tokens), capacity)


def make_batches(packs: Sequence[Pack], *, tokens: int) -> list[list[Pack]]:
    """Packs of like length together, at most `tokens` a batch, padding counted; a longer pack has its own batch."""
    batches: list[list[Pack]] = []
    longest = 0
    for pack in sorted(packs, key=lambda pack: -pack.tokens):
        if batches and longest * (len(batches[-1]) + 1) <= tokens:
            batches[-1].append(pack)
        else:
            batches.append([pack])
            longest = pack.tokens
    return batches


def collate(rows: Sequence[EncodedRow], packs: Sequence[Pack]) -> Batch:
    """The tensors of a batch."""
    import torch

    length = max(pack.tokens for pack in packs)
    shape = (len(packs), length)
    ids, positions = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    segment, parent = np.full(shape, _PADDING), np.full(shape, _PADDING)
    predictors: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    for number, pack in enumerate(packs):
        for piece in _pieces(rows, pack):
            there = slice(piece.start, piece.start + len(piece.ids))
            ids[number, there] = piece.ids
            positions[number, there] = np.arange(piece.position, piece.position + len(piece.ids))
            segment[number, there], parent[number, there] = piece.segment, piece.parent
            if piece.row is None:
                continue
            for offset, learned in enumerate(rows[piece.row].learned):
                if learned:
                    before = piece.start + offset - 1 if offset else piece.stem_end - 1
                    predictors.append(number * length + before)
                    targets.append(piece.ids[offset])
                    owners.append(piece.row)
    allowed = (segment[:, None, :] == segment[:, :, None]) | (segment[:, None, :] == parent[:, :, None])
    allowed &= np.tri(length, dtype=bool)
    return Batch(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        mask=torch.from_numpy(allowed[:, None]),
        predictors=torch.tensor(predictors),
        targets=torch.tensor(targets),
        rows=np.array(owners, dtype=np.int64),
    )


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stem, or a row's branch, where it stands in its pack."""

    ids: Ids
    start: int
    position: int
    segment: int
    parent: int
    stem_end: int
    row: int | None


def _pieces(rows: Sequence[EncodedRow], pack: Pack) -> Iterator[_Piece]:
    start = segment = 0
    for bunch in pack.bunches:
        stem = rows[bunch.rows[0]].stem
        stem_end, stem_segment = start + len(stem), segment
        yield _Piece(stem, start, 0, segment, segment, stem_end, None)
        start, segment = stem_end, segment + 1
        for row in bunch.rows:
            branch = rows[row].branch
            yield _Piece(branch, start, len(stem), segment, stem_segment, stem_end, row)
            start, segment = start + len(branch), segment + 1


def _bunches(rows: Sequence[EncodedRow], same: Sequence[int], capacity: int) -> Iterator[Bunch]:
    """Rows of one stem, as many together as fit."""
    stem = len(rows[same[0]].stem)
    held: list[int] = []
    tokens = stem
    for row in same:
        branch = len(rows[row].branch)
        if held and tokens + branch > capacity:
            yield Bunch(tuple(held), tokens)
            held, tokens = [], stem
        held.append(row)
        tokens += branch
    yield Bunch(tuple(held), tokens)


def _fill(bunches: Sequence[Bunch], capacity: int) -> list[Pack]:
    """First fit, among the packs that were opened last."""
    packs: list[list[Bunch]] = []
    room: list[int] = []
    for bunch in bunches:
        latest = range(max(0, len(packs) - _OPEN_PACKS), len(packs))
        fitting = next((number for number in latest if room[number] >= bunch.tokens), len(packs))
        if fitting == len(packs):
            packs.append([])
            room.append(capacity)
        packs[fitting].append(bunch)
        room[fitting] -= bunch.tokens
    return [Pack(tuple(held)) for held in packs]
