from maya_batch.text.word_count import spoken_words
from tests.text.readings.nemo import is_read_as, pairs, plain


def test_ninety_seven_of_a_hundred_pairs_are_read_as_the_suite_says() -> None:
    wrong = [
        (kind, written, spoken)
        for kind, written, spoken in pairs()
        if not is_read_as(f"He said {written} to her.", f"He said {spoken} to her.")
    ]
    assert len(pairs()) > 600
    assert len(wrong) <= 0.03 * len(pairs()), wrong


def test_the_word_count_of_a_pair_is_never_far_below_the_words_spoken() -> None:
    low = [
        (written, spoken, spoken_words(written).most)
        for _, written, spoken in pairs()
        if spoken_words(written).most < 0.8 * len(plain(spoken))
    ]
    assert not low
