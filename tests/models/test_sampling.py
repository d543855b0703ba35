"""Gumbel-max sampling: the right distribution, and a function of seed, position and token alone."""

from __future__ import annotations

import math

import torch
from scipy import stats

from spavl.models.base import Prompt, Request, Sampling
from spavl.models.sampling import LIKELIEST, GumbelSampler, SamplingBatch, gumbel, nucleus, seed_of

SEEDS = torch.tensor([seed_of(f"key {number}") for number in range(4000)])


def test_the_noise_is_gumbel_distributed_over_rows_tokens_and_positions() -> None:
    over_rows = gumbel(SEEDS, 3, 1)[:, 0]
    over_tokens = gumbel(SEEDS[:1], 3, 4000)[0]
    over_positions = torch.stack([gumbel(SEEDS[:1], position, 1)[0, 0] for position in range(4000)])
    for noise in (over_rows, over_tokens, over_positions):
        assert stats.kstest(noise.numpy(), stats.gumbel_r.cdf).pvalue > 1e-3


def test_neighbouring_rows_tokens_and_positions_are_uncorrelated() -> None:
    noise = gumbel(SEEDS, 0, 50)
    later = gumbel(SEEDS, 1, 50)
    for one, other in [(noise[:-1], noise[1:]), (noise[:, :-1], noise[:, 1:]), (noise, later)]:
        correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]
        assert abs(correlation) < 4 / math.sqrt(one.numel())


def test_a_row_of_noise_does_not_depend_on_its_neighbours() -> None:
    together = gumbel(SEEDS[:100], 7, 30)
    alone = torch.cat([gumbel(SEEDS[i : i + 1], 7, 30) for i in range(100)])
    assert torch.equal(together, alone)


def test_the_noise_of_a_key_is_this_literal() -> None:
    noise = gumbel(torch.tensor([seed_of("a key")]), 2, 3)[0]
    assert [round(value, 5) for value in noise.tolist()] == [2.72816, 1.09523, -0.07838]


def counts(sampling: Sampling, logits: list[float], forbidden: tuple[int, ...] = ()) -> torch.Tensor:
    """How often each token is sampled, over many keys."""
    requests = [Request(Prompt("What?"), sampling, key=f"key {number}") for number in range(20_000)]
    scores = torch.tensor(logits).repeat(len(requests), 1)
    sampled = GumbelSampler(requests, 5, forbidden, "cpu")(
        torch.zeros(len(requests), 5, dtype=torch.long), scores
    ).argmax(1)
    return torch.bincount(sampled, minlength=len(logits))


def test_tokens_are_sampled_as_often_as_the_softmax_says() -> None:
    logits, temperature = [2.0, 1.0, 0.0, -1.0], 0.7
    expected = (torch.tensor(logits) / temperature).softmax(0) * 20_000
    assert stats.chisquare(counts(Sampling(temperature), logits).numpy(), expected.numpy()).pvalue > 1e-3


def test_top_p_keeps_the_smallest_set_with_that_much_probability() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    for top_p, kept in [(0.4, 1), (0.5, 1), (0.7, 2), (0.8, 2), (0.9, 3), (1.0, 4)]:
        assert nucleus(logits, torch.tensor([top_p - 1e-4])).isfinite().sum() == kept
    found = counts(Sampling(1.0, top_p=0.75), logits[0].tolist())
    assert stats.chisquare(found[:2].numpy(), [20_000 * 5 / 8, 20_000 * 3 / 8]).pvalue > 1e-3
    assert found[2:].sum() == 0


def test_a_nucleus_larger_than_the_likeliest_tokens_is_found_too() -> None:
    generator = torch.Generator().manual_seed(0)
    for spread in (0.1, 3.0):
        logits = torch.randn(4, 3000, generator=generator) * spread
        top_p = torch.tensor([0.3, 0.9, 0.999, 1.0])
        kept = nucleus(logits, top_p).isfinite()
        for row, share in zip(range(4), top_p.tolist(), strict=True):
            ordered = logits[row].softmax(0).sort(descending=True).values
            wanted = 3000 if share == 1 else int((ordered.cumsum(0) - ordered < share).sum())
            assert abs(int(kept[row].sum()) - wanted) <= 1, "up to rounding of the sum"
            assert kept[row].sum() == 3000 or logits[row][kept[row]].min() > logits[row][~kept[row]].max()
    assert (nucleus(torch.randn(2, 3000) * 0.1, torch.tensor([0.9, 0.9])).isfinite().sum(1) > LIKELIEST).all()


def test_tokens_as_likely_as_the_last_of_the_nucleus_are_in_it_whatever_their_order() -> None:
    logits = torch.tensor([[0.4, 0.2, 0.2, 0.2]]).log()
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        assert nucleus(logits[:, order], torch.tensor([0.5])).isfinite().all()


def test_logits_that_are_no_numbers_do_not_stop_the_rows_beside_them() -> None:
    numbers = torch.tensor([1.0, 5.0, 2.0])
    for broken in (torch.full((3,), torch.nan), torch.tensor([0.0, torch.inf, 0.0]), torch.full((3,), -torch.inf)):
        found = nucleus(torch.stack((broken, numbers)), torch.tensor([0.9, 0.9]))
        assert torch.equal(found[1].isfinite(), torch.tensor([False, True, False]))


def test_temperature_zero_is_greedy_in_every_row() -> None:
    assert counts(Sampling(), [0.0, 3.0, 2.9]).tolist() == [0, 20_000, 0]


def test_a_forbidden_token_is_never_sampled() -> None:
    assert counts(Sampling(1.0), [9.0, 0.0, 0.0], forbidden=(0,))[0] == 0
    assert counts(Sampling(), [9.0, 1.0, 0.0], forbidden=(0,)).tolist() == [0, 20_000, 0]


def test_rows_of_different_temperature_share_a_batch() -> None:
    requests = [Request(Prompt("What?"), Sampling(t), key=f"{n}") for n in range(200) for t in (0.0, 1.0)]
    scores = torch.tensor([0.0, 0.1]).repeat(400, 1)
    sampled = GumbelSampler(requests, 1, (), "cpu")(torch.zeros(400, 1, dtype=torch.long), scores).argmax(1)
    assert sampled[0::2].tolist() == [1] * 200
    assert 0 < sampled[1::2].sum() < 200


def test_the_whole_distribution_is_a_temperature_of_one() -> None:
    requests = [Request(Prompt("What?"), Sampling(1.0), key=f"{n}") for n in range(200)]
    logits = torch.randn(200, 30, generator=torch.Generator().manual_seed(0))
    seeds = torch.tensor([seed_of(request.key) for request in requests])
    plain = SamplingBatch.from_whole_distribution(seeds).scores(logits, 4, torch.tensor([3, 7]))
    assert torch.equal(plain, GumbelSampler(requests, 1, (3, 7), "cpu")(torch.zeros(200, 5, dtype=torch.long), logits))


def test_rows_taken_out_of_a_batch_are_sampled_as_in_it() -> None:
    requests = [Request(Prompt("What?"), Sampling(t, top_p=p), key=f"{t} {p}") for t in (0, 0.7) for p in (1, 0.5)]
    logits, none = torch.randn(4, 30, generator=torch.Generator().manual_seed(0)), torch.tensor([], dtype=torch.long)
    batch, rows = SamplingBatch.of(requests, "cpu"), torch.tensor([3, 0])
    assert torch.equal(batch.of_rows(rows).scores(logits[rows], 2, none), batch.scores(logits, 2, none)[rows])


def test_the_whole_distribution_of_a_row_does_not_depend_on_the_nuclei_beside_it() -> None:
    logits, none = torch.linspace(0, -60, 3000).repeat(2, 1), torch.tensor([], dtype=torch.long)
    requests = [Request(Prompt("What?"), Sampling(1.0, top_p=p), key=f"{p}") for p in (1, 0.5)]
    together = SamplingBatch.of(requests, "cpu").scores(logits, 0, none)
    alone = SamplingBatch.of(requests[:1], "cpu").scores(logits[:1], 0, none)
    assert torch.equal(together[:1], alone) and alone.isfinite().all()
    assert not together[1].isfinite().all()
