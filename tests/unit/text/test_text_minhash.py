"""MinHash finds the pairs that are alike."""

import random

import numpy as np

from kedge.text.minhash import agreement, candidates, signatures
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
