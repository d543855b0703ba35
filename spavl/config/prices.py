"""Prices of models, from a file of their own: what a million tokens cost, by label or by the model's name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, NonNegativeFloat, ValidationError

from spavl.config.base import Section
from spavl.config.load import read_yaml
from spavl.config.models import EndpointSpec, ModelSpec
from spavl.errors import SettingsError

if TYPE_CHECKING:
    from spavl.config import Settings

FORM = "`NAME: {in: 0.25, out: 1.0, currency: USD}`, prices of a million tokens"
"""What an entry of a prices file looks like."""


class Price(Section):
    """What a model's tokens cost: an entry of a prices file."""

    price_in: NonNegativeFloat = Field(alias="in")
    """Price of a million prompt tokens."""
    price_out: NonNegativeFloat = Field(alias="out")
    """Price of a million answer tokens."""
    currency: str = ""
    """Name of the currency, such as `USD`, for what is shown; empty: it is not shown."""


def load_prices(path: Path) -> dict[str, Price]:
    """The prices of a file by the names of its entries: labels of `models`, or names of models on their servers.

    Args:
        path: a YAML file.

    Raises:
        SettingsError: there is no such file, or it holds something else; it names every entry that is wrong.
    """
    if not path.is_file():
        raise SettingsError("There is no file of prices here", where=str(path),
                            try_=f"write one, with lines such as {FORM}; or leave `prices` out")  # fmt: skip
    prices, wrong = {}, []
    for name, entry in read_yaml(path).items():
        try:
            prices[str(name)] = Price.model_validate(entry)
        except ValidationError as error:
            wrong.append(f"`{name}`: {_fault(error.errors()[0])}")
    if wrong:
        raise SettingsError("\n".join(wrong), where=str(path), try_=f"write every entry as {FORM}")
    return prices


def _fault(error: Any) -> str:
    """The first mistake of an entry, as part of a sentence."""
    name = ".".join(map(str, error["loc"]))
    faults = {"missing": f"`{name}` is missing", "extra_forbidden": f"there is no `{name}` in a price"}
    return faults.get(error["type"], f"{name}: {error['msg']}" if name else "it is no `{in: …, out: …}`")


def with_prices(settings: Settings) -> Settings:
    """Settings whose endpoints have the prices of the prices file, where their entries name none of their own.

    This is the one place that says what a model costs: the engine charges by the result, and `check` plans with it.

    Args:
        settings: name the prices file; without one they are returned as they are.

    Raises:
        SettingsError: the prices file cannot be used, or its prices of these models are in several currencies.
    """
    if settings.prices is None:
        return settings
    prices = load_prices(Path(settings.prices))
    _refuse_several_currencies(settings, prices)
    return settings.model_copy(update={"models": tuple(_priced(spec, prices) for spec in settings.models)})


def currency_of(settings: Settings) -> str:
    """Name of the currency of the models' prices; empty where the prices file names none.

    Args:
        settings: name the prices file.
    """
    if settings.prices is None:
        return ""
    found = _found(settings, load_prices(Path(settings.prices)))
    return next((price.currency for price in found.values() if price.currency), "")


def unpriced(settings: Settings) -> list[str]:
    """Labels of the endpoints of which nobody says what they cost; a price of 0 is a price.

    Args:
        settings: from `with_prices`.
    """
    return [
        spec.name for spec in settings.models
        if isinstance(spec, EndpointSpec) and (spec.price_in is None or spec.price_out is None)
    ]  # fmt: skip


def _found(settings: Settings, prices: dict[str, Price]) -> dict[str, Price]:
    """Prices of the endpoints by their labels."""
    endpoints = [spec for spec in settings.models if isinstance(spec, EndpointSpec)]
    found = {spec.name: prices.get(spec.name, prices.get(spec.model)) for spec in endpoints}
    return {name: price for name, price in found.items() if price is not None}


def _refuse_several_currencies(settings: Settings, prices: dict[str, Price]) -> None:
    by_currency = {price.currency: name for name, price in _found(settings, prices).items() if price.currency}
    if len(by_currency) > 1:
        named = ", ".join(f"{currency} (`{name}`)" for currency, name in by_currency.items())
        raise SettingsError(f"The prices are in several currencies, which cannot be added up: {named}",
                            where=str(settings.prices), try_="give all of them in one")  # fmt: skip


def _priced(spec: ModelSpec, prices: dict[str, Price]) -> ModelSpec:
    if not isinstance(spec, EndpointSpec):
        return spec
    price = prices.get(spec.name, prices.get(spec.model))
    if price is None:
        return spec
    own = {"price_in": spec.price_in, "price_out": spec.price_out}
    given = {"price_in": price.price_in, "price_out": price.price_out}
    return spec.model_copy(update={name: given[name] if own[name] is None else own[name] for name in own})
