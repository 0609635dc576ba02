"""Wordings of worlds: chosen, and read back."""

import numpy as np
import pytest

from flagdit_core.errors import ConfigError
from flagdit_core.language import ARTICLE, CANONICAL_PROBABILITY, Phrases, Reader, Speaker, article, plain_words
from flagdit_core.shapes.phrases import SHAPE, read_background, say_background, say_object
from flagdit_core.shapes.vocabulary import SHAPE_WORDS

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
    plainer = Speaker(np.random.default_rng(0), canonical_probability=0.9)
    assert abs([plainer.word(WORDS) for _ in range(3000)].count("circle") / 3000 - 0.9) < 0.03


def test_the_longest_phrase_is_read():
    """A phrase that begins another does not hide it, and half a word is none."""
    phrases = Phrases({"left": ("left",), "left of": ("left of", "to the left of"), "nothing": ("",)})
    assert phrases.take("left of a box") == ("left of", "a box")
    assert phrases.take("left off") == ("left", "off")
    assert phrases.take("leftmost") == (None, "leftmost")
    assert phrases.take("left") == ("left", "")


def test_plain_words_and_articles():
    """Case, punctuation and spaces do not matter; vowels take another article."""
    assert plain_words('  A "Red-ish"  circle, left_hand!') == "a red ish circle left hand"
    assert Phrases({"then": (", then ",)}).take("then a bell") == ("then", "a bell")
    assert (article("orange"), article("red")) == ("an", "a")


def _reader(caption: str) -> Reader:
    return Reader(caption, world="picture", example="a red circle")


def test_a_reader_steps_over_what_it_takes():
    """What stands next is read and stepped over; what does not is left; a message says where it was expected."""
    reader = _reader("A disc, left.")
    assert (reader.take(SHAPE), reader.rest) == (None, "a disc left")
    assert (reader.take(ARTICLE), reader.take(SHAPE), reader.rest) == ("new", "circle", "left")
    message = (
        "'A disc, left.' is not in the picture world's language: expected more before 'left'; say .* 'a red circle'"
    )
    with pytest.raises(ConfigError, match=message):
        raise reader.error("expected more")
    with pytest.raises(ConfigError, match="expected more at the end"):
        raise _reader("").error("expected more")


def test_objects_and_backgrounds_in_words():
    """What is told of an object and nothing else; a background is read back, and may not contradict itself."""
    speaker = Speaker(None)
    assert say_object(speaker, SHAPE_WORDS["star"], color="orange", size=None) == "an orange star"
    assert say_object(speaker, SHAPE_WORDS["star"], color=None, size="small") == "a small star"
    background = say_background(speaker, "gray")
    assert background == "on a gray background"
    assert read_background(_reader(background), "gray") == "gray"
    assert read_background(_reader("a star"), "gray") is None
    with pytest.raises(ConfigError, match="cannot be red and gray"):
        read_background(_reader(background), "red")
