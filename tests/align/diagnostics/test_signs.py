"""Planted failures ring their own alarm, by the numbers of a measurement; a healthy training rings none."""

import numpy as np
import pytest

from spavl.align.diagnostics.margins import Margins, MeasuredMargins
from spavl.align.diagnostics.sample import DiagnosticSample
from spavl.align.diagnostics.signs import SIGNS, alarms_of, numbers_of
from spavl.config.diagnostics import DiagnosticsSettings, TrainingAlarmLimits
from spavl.statistics.alarm import rung

N = 128
SETTINGS = DiagnosticsSettings()


class NoPasses:
    """Stands for forward passes that are not made here."""


def sample(*, blind: bool = False) -> DiagnosticSample:
    """So many pairs, each with a picture of its own, held out of training."""
    clusters = tuple(map(str, range(N)))
    shown = "blank" if blind else "own"
    return DiagnosticSample(
        views={}, clusters=clusters, with_picture=(True,) * N, as_trained=shown, held_out=True,
        trained=NoPasses(), trained_clusters=clusters,  # type: ignore[arg-type]
    )  # fmt: skip


def measured(seed, *, own=1.0, blank=0.2, swapped=0.3, trained=1.2, first=0.4, longer=None, spread=0.5):
    """Margins of means as given; answers of 30 to 60 tokens, the chosen ones `longer` by so many."""
    random = np.random.default_rng(seed)
    chosen, rejected = random.integers(30, 60, N).astype(float), random.integers(30, 60, N).astype(float)
    if longer is not None:
        chosen = rejected + random.uniform(0.5, 1.5, N) * longer

    own_of_pair = random.normal(0, spread, N)

    def margins(mean):
        margin = mean + own_of_pair + random.normal(0, spread / 3, N)
        if longer is not None:
            margin = 0.05 * (chosen - rejected) + random.normal(0, 0.1, N)
        return Margins(margin, first * margin + random.normal(0, 0.02, N), chosen, rejected)

    views = {"own": margins(own), "blank": margins(blank), "swapped": margins(swapped)}
    return MeasuredMargins(views, margins(trained))


def ringing(found, **how):
    row = numbers_of(found, sample(**how), SETTINGS)
    return {one.name for one in rung(alarms_of(row, "dpo", TrainingAlarmLimits())) if one.rings}


@pytest.mark.parametrize("seed", range(5))
def test_a_healthy_training_rings_no_alarm(seed):
    assert ringing(measured(seed)) == set()


@pytest.mark.parametrize("seed", range(5))
def test_a_blind_training_rings_that_its_margin_needs_no_picture(seed):
    assert ringing(measured(seed, own=0.6, blank=0.7, swapped=0.62, trained=0.65), blind=True) == {"picture_share"}
    assert ringing(measured(seed, own=1.0, swapped=1.05)) == {"picture_share"}


@pytest.mark.parametrize("seed", range(5))
def test_a_training_on_length_rings_the_correlation_either_way_round(seed):
    assert "length_correlation" in ringing(measured(seed, longer=20))
    assert "length_correlation" in ringing(measured(seed, longer=-20))


@pytest.mark.parametrize("seed", range(5))
def test_an_over_fitted_training_rings_the_gap(seed):
    assert ringing(measured(seed, own=0.3, blank=0.0, swapped=-0.1, trained=3.0)) == {"accuracy_gap"}


def test_margins_of_the_first_tokens_alone_ring_and_of_short_answers_nothing_is_told():
    found = measured(1, first=1.0)
    assert ringing(found) == {"first_tokens_share"}
    short = {
        shown: Margins(one.margin, one.first, one.chosen / 4, one.rejected / 4) for shown, one in found.views.items()
    }
    row = numbers_of(MeasuredMargins(short, None), sample(), SETTINGS)
    assert "first_tokens_share" not in row and "accuracy_gap" not in row and "picture_share" in row


def test_every_alarm_says_its_numbers_and_what_to_do():
    row = numbers_of(measured(2), sample(), SETTINGS)
    alarms = alarms_of(row, "mine", TrainingAlarmLimits())
    assert [one.name for one in alarms] == [sign.name for sign in SIGNS]
    assert all(one.what.startswith("`mine` ") and "[" in one.what and one.try_ for one in alarms)
