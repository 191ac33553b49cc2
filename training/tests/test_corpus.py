import numpy as np
import pytest

from franken_training.corpus import HELD_ROWS, Mixture, read_corpus
from franken_training.prepare import beginnings
from franken_training.sample import prefixes_of


def corpus(tmp_path, name, ids):
    np.savez(tmp_path / f"{name}.npz", ids=ids.astype(np.uint16))
    return tmp_path / f"{name}.npz"


def test_a_long_row_is_cut_into_rows(tmp_path) -> None:
    read = read_corpus(corpus(tmp_path, "long", np.arange(10)), 4)
    assert read.rows.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_held_rows_are_never_drawn(tmp_path) -> None:
    ids = np.arange(HELD_ROWS + 3)[:, None].repeat(4, 1)
    read = read_corpus(corpus(tmp_path, "chats", ids), 4, held=True)
    mixture = Mixture({"chats": [read]}, {"chats": 1}, seed=1)
    drawn = {int(v) for step in range(5) for v in mixture.batch(step, 2).unique()}
    assert drawn == {HELD_ROWS, HELD_ROWS + 1, HELD_ROWS + 2}


def test_shares_hold_in_every_batch_and_a_seed_repeats_it(tmp_path) -> None:
    make = lambda name, value: read_corpus(corpus(tmp_path, name, np.full((9, 4), value)), 4)  # noqa: E731
    groups = {"a": [make("x", 1)], "b": [make("y", 2)]}
    draw = lambda: Mixture(groups, {"a": 3, "b": 1}, seed=7).batch(5, 8)  # noqa: E731
    assert (draw() == 1).sum() == 6 * 4
    assert draw().equal(draw())


def test_short_rows_and_empty_groups_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="rows of 2 tokens, asked for 4"):
        read_corpus(corpus(tmp_path, "short", np.zeros((3, 2))), 4)
    with pytest.raises(ValueError, match="no training text in a"):
        Mixture({"a": [read_corpus(corpus(tmp_path, "none", np.zeros((0, 4))), 4)]}, {"a": 1}, 1)


def test_texts_are_continued_from_all_over() -> None:
    ids = list(range(2000))
    assert [begin[0] for begin in beginnings(ids)] == [0, 768, 1536]
    assert all(len(begin) == 32 for begin in beginnings(ids))


def test_a_kind_without_beginnings_is_named(tmp_path) -> None:
    (tmp_path / "prefixes.json").write_text('{"continued": []}')
    with pytest.raises(ValueError, match="nothing to begin continued rows with"):
        prefixes_of(tmp_path / "prefixes.json", "continued", 4, 0)
