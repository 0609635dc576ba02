"""Wordings of worlds: chosen, and read back."""

import numpy as np

from flagdit_core.language import CANONICAL_PROBABILITY, Phrases, Speaker, article, plain_words

WORDS = ("circle", "disc", "dot")


def test_without_a_generator_the_first_word():
    """The canonical wording is always the same, and nothing optional happens in it."""
    speaker = Speaker(None)
    assert speaker.is_canonical
    assert {speaker.word(WORDS) for _ in range(20)} == {"circle"}
    assert not any(speaker.happens(1.0) for _ in range(20))


def test_random_words():
    """The canonical word has its share, the others the rest evenly; events happen as often as they should."""
    speaker = Speaker(np.random.default_rng(0))
    words = [speaker.word(WORDS) for _ in range(3000)]
    assert abs(words.count("circle") / 3000 - CANONICAL_PROBABILITY) < 0.03
    assert abs(words.count("disc") - words.count("dot")) < 120
    assert 250 < sum(speaker.happens(0.1) for _ in range(3000)) < 350
    assert {speaker.any_of(WORDS) for _ in range(50)} == set(WORDS)


def test_the_longest_phrase_is_read():
    """A phrase that begins another does not hide it, and half a word is none."""
    phrases = Phrases({"left": ("left",), "left of": ("left of", "to the left of"), "nothing": ("",)})
    assert phrases.take("left of a box") == ("left of", "a box")
    assert phrases.take("left off") == ("left", "off")
    assert phrases.take("leftmost") == (None, "leftmost")
    assert phrases.take("left") == ("left", "")


def test_plain_words_and_articles():
    """Case, punctuation and spaces do not matter; vowels take another article."""
    assert plain_words("  A Red-ish  circle, left.") == "a red ish circle left"
    assert (article("orange"), article("red")) == ("an", "a")
