"""Agreement of two raters from counts is that of the sequences, and unread verdicts widen it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from spavl.statistics.agreement import cohen_kappa
from spavl.statistics.raters import rater_agreement

SAID = st.sampled_from([True, False, None])


@given(st.lists(st.tuples(SAID, SAID), max_size=60))
def test_kappa_is_that_of_the_items_which_both_rated(said: list[tuple[bool | None, bool | None]]) -> None:
    found = rater_agreement(Counter(said))
    both = [(a, b) for a, b in said if a is not None and b is not None]
    kappa = cohen_kappa([a for a, _ in both], [b for _, b in both])
    assert (found.kappa is None) == (kappa is None)
    if kappa is not None and found.kappa is not None:
        assert abs(found.kappa - kappa) < 1e-9
    assert found.same.n == len(said) and found.same.unreadable == len(said) - len(both)


def test_high_agreement_on_a_rare_label_is_told_by_the_shares_beside_it() -> None:
    found = rater_agreement({(False, False): 96, (True, False): 2, (False, True): 2})
    assert found.same.value == 0.96 and found.kappa is not None and found.kappa < 0
    assert (found.first_true, found.second_true) == (0.02, 0.02)
