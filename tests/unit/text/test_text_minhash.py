"""MinHash finds the pairs that are alike."""

import random

import numpy as np
import pytest

from kedge.text.minhash import agreement, candidates, signatures
from kedge.text.ragged import Ragged
from kedge.text.shingles import jaccard, shingle_sets, shingles


def make_texts(count: int = 200) -> list[str]:
    chance = random.Random(3)
    words = ["".join(chance.choices("abcdefghijklmnop", k=6)) for _ in range(300)]
    texts = []
    for i in range(count):
        chosen = chance.choices(words, k=30)
        texts.append(" ".join(chosen))
        chosen[i % 30] = "edited"
        texts.append(" ".join(chosen))
    return texts


def test_agreement_estimates_jaccard() -> None:
    texts = make_texts(100)
    minima = signatures(shingles(texts), 128)
    pairs = np.arange(200).reshape(-1, 2)
    true = jaccard(shingle_sets(texts), pairs[:, 0], pairs[:, 1])
    assert np.abs(agreement(minima, pairs, batch=7) - true).mean() < 0.05


@pytest.mark.parametrize("size", [5, 20, 100, 1000])
def test_few_shingles_are_estimated_as_closely_as_many(size: int) -> None:
    chance, shared = np.random.default_rng(size), size * 4 // 5
    drawn = chance.integers(0, 1 << 63, (400, 2 * size), dtype=np.uint64)
    one, other = drawn[:, :size], np.hstack((drawn[:, :shared], drawn[:, size : 2 * size - shared]))
    starts = np.arange(801, dtype=np.int64) * size
    minima = signatures(Ragged(np.concatenate((one, other)).reshape(-1), starts), 128)
    true = shared / (2 * size - shared)
    found = agreement(minima, np.stack((np.arange(400), np.arange(400, 800)), axis=1))
    independent = np.sqrt(true * (1 - true) / 128)
    assert abs(found.mean() - true) < 0.01
    assert found.std() < 1.1 * independent


def test_every_near_pair_is_a_candidate() -> None:
    texts = make_texts()
    pairs = candidates(signatures(shingles(texts), 128), bands=32, floor=0.6, window=256)
    found = {tuple(pair) for pair in pairs.tolist()}
    assert {(i, i + 1) for i in range(0, len(texts), 2)} <= found
    assert len(found) < len(texts)


def test_pairs_have_the_smaller_row_first_and_stand_once() -> None:
    pairs = candidates(signatures(shingles(["same text"] * 5), 128), bands=32, floor=0.6, window=256)
    assert pairs.tolist() == [[a, b] for a in range(5) for b in range(a + 1, 5)]


def test_the_window_bounds_how_many_pairs_a_crowd_makes() -> None:
    pairs = candidates(signatures(shingles(["same text"] * 100), 8), bands=2, floor=0.6, window=3)
    assert len(pairs) == 99 + 98 + 97


def test_signatures_of_nothing_are_empty() -> None:
    assert signatures(shingles([]), 16).shape == (0, 16)
