"""What each out-of-scope threshold costs and what it saves, so that a person can choose one."""

from __future__ import annotations

from typing import Any

import numpy as np

from chatbot.inference.out_of_scope import OutOfScopeRule
from chatbot.training.trainers.held_out import HeldOut

# Shares of answerable questions that are not answered: from none to more than any shop would accept.
_SHARES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2)


def threshold_costs(held_out: HeldOut, rule: OutOfScopeRule) -> list[dict[str, Any]]:
    """One row for each threshold worth considering, the laxest first.

    `rejected` is the share of in-scope texts that the bot would then not answer, `wrong_avoided` the share of its wrong
    answers to in-scope texts that disappear with them, `answered_accuracy` how often what is still answered is right,
    `caught` the share of out-of-scope texts that are noticed (None without such texts).
    """
    known, strange = held_out.strangeness(rule)
    wrong = held_out.logits.argmax(axis=1) != held_out.labels
    strangest_last = np.sort(known)
    rows: dict[float, dict[str, Any]] = {}
    for share in _SHARES:
        threshold = float(strangest_last[len(known) - 1 - int(share * len(known) + 1e-9)])
        rejected = known > threshold
        answered = ~rejected
        rows[threshold] = {
            "threshold": round(threshold, 6),
            "rejected": round(float(rejected.mean()), 4),
            "wrong_avoided": round(float((wrong & rejected).sum() / wrong.sum()), 4) if wrong.any() else None,
            "answered_accuracy": round(float(1 - wrong[answered].mean()), 4),
            "caught": round(float((strange > threshold).mean()), 4) if len(strange) else None,
        }
    return list(rows.values())
