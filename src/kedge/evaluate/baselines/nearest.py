"""The nearest neighbour: what was answered to the most similar training input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from kedge.core.dataset import Row
from kedge.core.errors import Invalid
from kedge.evaluate.types import Baseline

_AT_ONCE = 128


def nearest(*, smallest: int = 2, largest: int = 4) -> Baseline:
    """The target of the training input nearest by TF-IDF over character n-grams; of equals the first by row id."""

    def answer(rows: Sequence[Row], inputs: Sequence[str]) -> list[str]:
        if not rows:
            raise Invalid("a baseline learns from training rows, and there are none")
        ordered = sorted(rows, key=lambda row: row.id)
        vectors = TfidfVectorizer(analyzer="char", ngram_range=(smallest, largest), dtype=np.float32)
        known = vectors.fit_transform([row.input for row in ordered]).T.tocsr()
        asked = vectors.transform(inputs)
        found: list[int] = []
        for start in range(0, len(inputs), _AT_ONCE):
            similar = (asked[start : start + _AT_ONCE] @ known).toarray()
            found.extend(int(i) for i in np.round(similar, 5).argmax(axis=1))
        return [ordered[i].target for i in found]

    return answer
