"""Preference pairs from anywhere for a notebook: `spavl.open_pairs("data/pairs")`, and a run's own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from spavl.api.settings import SettingsSource, loaded
from spavl.config import AuditSettings, Settings
from spavl.errors import SettingsError
from spavl.progress import NoProgress, Progress
from spavl.threads import prepare_process

if TYPE_CHECKING:
    from spavl.audit.probes import ProbeKind
    from spavl.config.align import PairForm, Preference
    from spavl.pipeline.audit import Audited
    from spavl.pipeline.clean import CleanedByKind
    from spavl.pipeline.contamination import Contamination
    from spavl.pipeline.exports import Exported
    from spavl.pipeline.imports import Imported, ImportForm
    from spavl.pipeline.session import Session


def open_pairs(
    source: str | Path,
    settings: SettingsSource | None = None,
    *,
    allow_code: bool = False,
    progress: Progress | None = None,
) -> PairSet:
    """Preference pairs of any public form, or of a run folder; nothing is read or made yet.

    Args:
        source: a file or folder, a `datasets` folder, `OWNER/NAME[:CONFIG]` of the Hub, or a run folder.
        settings: limits of `audit` and the judges that it may ask, benchmarks that `contamination` may compare with.
        allow_code: run models, judges and benchmarks of your own that the settings name.
        progress: shows bars and lines, such as `spavl.TerminalProgress()`. None: it is quiet.

    Raises:
        SettingsError: something in the settings is wrong; it lists all mistakes.
    """
    prepare_process()
    named = None if settings is None else loaded(settings)
    return PairSet(source, named, allow_code=allow_code, progress=progress or NoProgress())


def import_pairs(
    source: str | Path,
    out: str | Path,
    *,
    form: ImportForm | None = None,
    prefer: Preference | None = None,
    images: str | Path | None = None,
    meta: str | Path | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Make a folder in the Hub schema of a dataset in any public form; where that was done before, it is left alone.

    Args:
        source: a file or folder, a `datasets` folder, or `OWNER/NAME[:CONFIG]` of the Hub.
        out: the folder.
        form: what the source is; None: told by its columns.
        prefer: which answer is preferred, where the source says of two which is safer and which is more helpful.
        images: folder of the pictures that are named by paths; None: that of each file.
        meta: the folder `meta_files` of SPA-VL; None: that in the source, if it has one.
        limit: only the first so many rows.
        progress: shows bars.

    Raises:
        DataError: there are no pairs, or a file is not readable, or in none of the forms or in several.
        SettingsError: something is asked for that the source does not have.
        RunError: the folder holds something else, or cannot be written.
    """
    from spavl.pipeline.imports import ImportChoices
    from spavl.pipeline.imports import import_pairs as made

    prepare_process()
    choices = ImportChoices(form=form, prefer=prefer, images=_path(images), meta=_path(meta), limit=limit)
    return made(str(source), Path(out), choices, progress=progress or NoProgress())


class PairSet:
    """Preference pairs of a run or of any public form, and a method for each thing that is done with them.

    Args:
        source: what they are read from.
        settings: name judges and benchmarks; None: nothing is done that needs these.
        allow_code: run models, judges and benchmarks of the user's own.
        replay: let no call leave.
        progress: where bars and lines go.
    """

    def __init__(
        self, source: str | Path, settings: Settings | None, *, allow_code: bool, replay: bool = False,
        progress: Progress,
    ) -> None:  # fmt: skip
        self.source = str(source)
        self._settings = settings
        self._allow_code = allow_code
        self._replay = replay
        self._progress = progress

    def audit(
        self,
        out: str | Path | None = None,
        *,
        limit: int | None = None,
        probes: Sequence[ProbeKind] = (),
        sample: int = 200,
    ) -> Audited:
        """Look for what is wrong with the pairs: findings with intervals, a verdict, a page, and the pairs concerned.

        Args:
            out: folder of the audit; None: `audit` in the run folder, else `audit-NAME` here.
            limit: only the first so many pairs.
            probes: `necessity` of pictures, `wording` of prompts: what the judges of the settings are asked.
            sample: pairs that a probe asks about.

        Raises:
            SettingsError: there is no such probe, or no settings name a judge.
            DataError: there are no pairs, or they cannot be read.
            RunError: the folder holds something else, or cannot be written.
        """
        from spavl.pipeline.audit import AuditRequest, audit
        from spavl.pipeline.audit_with import probe_kinds

        kinds = probe_kinds(probes)
        limits = AuditSettings() if self._settings is None else self._settings.audit
        request = AuditRequest(
            source=self.source, out=_path(out), limit=limit, probes=kinds, sample=sample, settings=limits
        )
        with self._session() if kinds else nullcontext() as session:
            return audit(request, self._progress, session)

    def clean(
        self, drop: Sequence[str], out: str | Path, *, audit: str | Path | None = None, limit: int | None = None
    ) -> CleanedByKind:  # fmt: skip
        """Write a dataset without the pairs that the audit suspects of some kinds of faults.

        Args:
            drop: kinds of findings; `suspects` of an audit says how many pairs each has.
            out: folder of the new dataset.
            audit: folder of the audit, where it was named.
            limit: as it was audited.

        Raises:
            SettingsError: the audit has no such kind, or the folder is taken.
            DataError: no pair would be left.
            RunError: there is no audit, or it is of other pairs.
        """
        from spavl.pipeline.audit import AuditRequest
        from spavl.pipeline.clean import clean

        request = AuditRequest(source=self.source, out=_path(audit), limit=limit)
        return clean(request, [drop] if isinstance(drop, str) else drop, Path(out), self._progress)

    def contamination(
        self,
        against: Sequence[str | Path] = (),
        *,
        benchmarks: bool = False,
        out: str | Path | None = None,
        clean: str | Path | None = None,
    ) -> Contamination:
        """Find the texts and pictures that the pairs share with benchmarks or another dataset; no model is called.

        Args:
            against: other datasets, files or folders of questions, folders of pictures.
            benchmarks: compare with the benchmarks of the settings too.
            out: folder of what is found; None: `contamination` in the run folder, else `contamination-NAME` here.
            clean: folder of the pairs that share nothing; None: it is not written.

        Raises:
            SettingsError: there is nothing to compare with, two others have one name, or a folder holds something else.
            DataError: the pairs or another cannot be read.
            RunError: a folder cannot be written.
        """
        from spavl.pipeline.contamination import ContaminationRequest, contamination

        others = [against] if isinstance(against, str | Path) else against
        request = ContaminationRequest(
            source=self.source, against=[str(one) for one in others], out=_path(out), clean=_path(clean)
        )
        with self._session(look_only=True) if benchmarks else nullcontext() as session:
            return contamination(request, self._progress, session)

    def export(
        self,
        form: str,
        out: str | Path,
        *,
        trim: bool = False,
        read_as: PairForm | None = None,
        prefer: Preference | None = None,
        push: str | None = None,
        public: bool = False,
    ) -> Exported:
        """Write the pairs for another trainer, with a card of measured numbers.

        Args:
            form: such as `trl` or `llama-factory-sharegpt`; `spavl export --help` lists them.
            out: the folder.
            trim: take white space off the start of texts beside a picture, where the form cannot keep it.
            read_as: form of the source; None: told by its columns.
            prefer: which answer is preferred, where the source says of two which is safer and which is more helpful.
            push: `OWNER/NAME` on the Hub that it is pushed to, private and gated; the token is in HF_TOKEN.
            public: with `push`: everybody sees that it is there, and may ask for access.

        Raises:
            SettingsError: there is no such form, the folder holds something else, or the push is not possible.
            DataError: there are no pairs, or no row can be written in this form.
            RunError: the folder cannot be written, or the Hub refuses.
        """
        from spavl.pipeline.exports import ExportRequest, export, reading_of

        reading = reading_of(read_as, prefer)
        request = ExportRequest(
            source=self.source, form=form, out=Path(out), trim=trim, repo=push, public=public, reading=reading
        )
        return export(request, self._progress)

    def _session(self, *, look_only: bool = False) -> Session:
        from spavl.pipeline.session import Session

        if self._settings is None:
            raise SettingsError("Judges or benchmarks are asked for, and no settings name any", where="open_pairs",
                                try_=f'spavl.open_pairs({self.source!r}, "my.yaml")')  # fmt: skip
        return Session(
            self._settings, self._progress, allow_code=self._allow_code, replay=self._replay, look_only=look_only
        )


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
