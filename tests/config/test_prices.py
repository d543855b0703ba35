"""Prices from a file: by label or by the model's name, the entry's own first, one currency, every mistake named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spavl.config import Settings
from spavl.config.models import EndpointSpec
from spavl.config.prices import currency_of, load_prices, unpriced, with_prices
from spavl.errors import SettingsError

ROOT = Path(__file__).parents[2]


def endpoint(name: str, model: str = "m", **more: Any) -> dict[str, Any]:
    """An entry of `models`."""
    return {"name": name, "kind": "endpoint", "url": "http://127.0.0.1:9/v1", "model": model, "identity": name, **more}


def settings_of(folder: Path, prices: str, *models: dict[str, Any], **more: Any) -> Settings:
    """Settings with a prices file of that text."""
    (folder / "prices.yaml").write_text(prices, "utf-8")
    return Settings.model_validate({"prices": str(folder / "prices.yaml"), "models": list(models), **more})


def prices_of(settings: Settings) -> list[tuple[float | None, float | None]]:
    """Prices of the endpoints, in their order."""
    found = [spec for spec in with_prices(settings).models if isinstance(spec, EndpointSpec)]
    return [(spec.price_in, spec.price_out) for spec in found]


def test_a_price_is_found_by_label_or_by_the_models_name_and_the_label_wins(tmp_path: Path) -> None:
    text = "amber: {in: 1, out: 2, currency: USD}\norg/one: {in: 3, out: 4}\nnobody: {in: 9, out: 9, currency: EUR}\n"
    settings = settings_of(
        tmp_path, text, endpoint("amber", "org/one"), endpoint("birch", "org/one"), endpoint("cedar")
    )
    assert prices_of(settings) == [(1, 2), (3, 4), (None, None)]
    assert unpriced(with_prices(settings)) == ["cedar"]
    assert currency_of(settings) == "USD", "a currency that no model of the roster has is none of it"


def test_what_an_entry_says_itself_wins_and_zero_is_a_price(tmp_path: Path) -> None:
    models = [endpoint("amber", price_in=0), endpoint("birch", price_in=0, price_out=0)]
    settings = settings_of(tmp_path, "amber: {in: 1, out: 2}\n", *models)
    assert prices_of(settings) == [(0, 2), (0, 0)]
    assert unpriced(with_prices(settings)) == []


def test_without_a_file_nothing_changes() -> None:
    settings = Settings.model_validate({"models": [endpoint("amber", price_in=1.5)]})
    assert with_prices(settings) is settings
    assert unpriced(settings) == ["amber"] and currency_of(settings) == ""


def test_prices_in_two_currencies_are_refused_for_they_would_be_added_up(tmp_path: Path) -> None:
    text = "amber: {in: 1, out: 2, currency: USD}\nbirch: {in: 1, out: 2, currency: EUR}\n"
    with pytest.raises(SettingsError, match=r"USD \(`amber`\), EUR \(`birch`\)"):
        with_prices(settings_of(tmp_path, text, endpoint("amber"), endpoint("birch", "n")))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("amber: {in: 1}", "`amber`: `out` is missing"),
        ("amber: {in: 1, out: 2, cached: 3}", "`amber`: there is no `cached` in a price"),
        ("amber: 3", "`amber`: it is no `{in: …, out: …}`"),
        ("amber: {in: -1, out: 2}", "`amber`: in: Input should be greater than or equal to 0"),
        ("amber: {in: .inf, out: 2}", "`amber`: in: Input should be a finite number"),
        ("amber: {in: much, out: 2}", "`amber`: in: "),
        ("amber: {in: 1}\nbirch: 7", "`birch`: it is no"),
        ("- amber", "holds no settings"),
        ("amber: [", "is not YAML"),
    ],
)
def test_a_wrong_file_is_a_sentence_that_names_every_entry(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(text)
    with pytest.raises(SettingsError) as error:
        load_prices(tmp_path / "prices.yaml")
    assert told in error.value.what


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SettingsError, match="There is no file of prices here"):
            load_prices(path)


def test_the_example_is_a_prices_file() -> None:
    assert len(load_prices(ROOT / "settings" / "prices" / "example.yaml")) == 3


def test_a_ceiling_of_a_model_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`ceilings\.models` names `ambr`"):
        settings_of(tmp_path, "", endpoint("amber"), ceilings={"models": {"ambr": 1.0}})
