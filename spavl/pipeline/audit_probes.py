"""Probes of an audit: the judges of the settings are asked about a sample of pairs, through the call store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spavl.audit.finding import Finding
from spavl.audit.probe_sample import Sampled, sampled_pairs
from spavl.audit.probes import Probed, ProbeKind, calls_of, finding_of, probed
from spavl.errors import DataError
from spavl.judging.judge import Judge
from spavl.models.base import Prompt, Reply
from spavl.pipeline.audit_files import PICTURES
from spavl.pipeline.judging import ask_model, judge_named
from spavl.pipeline.session import Session
from spavl.preferences.dataset import PreferenceDataset

SETTING = "build.judge.judges"
"""What names the judges that are asked."""


@dataclass(frozen=True, slots=True)
class Probes:
    """All that the probes of one audit found."""

    probed: tuple[Probed, ...]
    """By probe and judge."""
    findings: tuple[Finding, ...]
    """A finding each."""

    @property
    def failed(self) -> int:
        """Calls that brought no whole reply; they are made again next time."""
        return sum(one.failed for each in self.probed for one in each.replies.values())

    def plain(self) -> list[dict[str, Any]]:
        """What every judge said of every pair in every way, as plain data for `audit.json`."""
        return [
            {
                "probe": each.kind, "judge": each.judge, "left_out": dict(each.left_out),
                "pairs": [{"number": one.number, "pair_id": one.pair_id,
                           "said": {way: replies.said[place] for way, replies in each.replies.items()}}
                          for place, one in enumerate(each.sample)],
            }
            for each in self.probed
        ]  # fmt: skip


def run_probes(
    session: Session, dataset: PreferenceDataset, kinds: Sequence[ProbeKind], *, count: int, folder: Path,
) -> Probes:  # fmt: skip
    """Ask every judge of the settings about a sample of the pairs, in all ways of the probes that are wanted.

    What was answered before is answered from the call store, so a probe that was stopped goes on where it was.

    Args:
        session: the settings, which name the judges, and the call store.
        dataset: the pairs.
        kinds: which probes.
        count: most pairs that are asked about.
        folder: where pictures are written that are sent.

    Raises:
        DataError: no pair can be asked about.
        SettingsError: the settings list no such judge or model.
    """
    judges = [judge_named(session.settings, name, SETTING) for name in session.settings.build.judge.judges]
    found = []
    for kind in kinds:
        sample = sampled_pairs(dataset, count, seed=session.settings.seed, pictures=folder / PICTURES,
                               with_pictures=kind == "necessity")  # fmt: skip
        if not sample:
            shown = " with a picture that can be read" if kind == "necessity" else ""
            raise DataError(f"The probe `{kind}` has no pair{shown} to ask about", where=dataset.name,
                            try_="look at what was read with `spavl show`")  # fmt: skip
        found += [_probe(session, kind, judge, sample, folder) for judge in judges]
    return Probes(tuple(found), tuple(finding_of(one, session.settings.audit) for one in found))


def _probe(session: Session, kind: ProbeKind, judge: Judge, sample: Sequence[Sampled], folder: Path) -> Probed:
    session.progress.log(
        f"probe {kind}: {judge.name} is asked about {len(sample):,} pairs, {calls_of(kind, len(sample)):,} calls"
    )
    return probed(kind, judge, sample, ask=partial(_ask, session, judge), pictures=folder / PICTURES)


def _ask(session: Session, judge: Judge, doing: str, prompts: Sequence[Prompt]) -> list[Reply]:
    return ask_model(session, session.spec(judge.model, f"judges: {judge.name}"), judge.sampling, doing, prompts)
