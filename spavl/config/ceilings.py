"""Settings of what one command may spend at most."""

from __future__ import annotations

from pydantic import PositiveFloat

from spavl.config.base import Section
from spavl.config.models import Label


class CeilingSettings(Section):
    """Most money and time of one command that calls models (`build`, `evaluate`).

    When a ceiling is reached, no further call is sent: those that are missing are noted as failed with that reason, and
    the exit status is 3. Running again begins at zero and goes on with what is missing. Prices are those of the models'
    entries and of the file of `prices`."""

    cost: PositiveFloat | None = None
    """Most money, in the currency of the models' prices (`price_in`, `price_out`). Calls that are in flight when it is
    reached are still paid. None: no ceiling."""
    minutes: PositiveFloat | None = None
    """Most minutes, from the start of the command. Calls that are in flight then are still waited for. None: no
    ceiling."""
    models: dict[Label, PositiveFloat] = {}
    """Most money for the calls of single models, by their labels. One that has reached it is asked no more in this run;
    the others go on."""
