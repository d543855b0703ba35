"""Settings of the sources of pictures: a dataset's columns, and how pictures are downloaded."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveFloat, PositiveInt

from spavl.config.base import Section

_HOST_AND_PORT = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})")


def _with_port(text: str) -> str:
    found = _HOST_AND_PORT.fullmatch(text)
    if not found or not 0 < int(found[2]) < 2**16:
        raise ValueError("a host is written with its port, such as `pictures.intranet:8080`")
    return text


HostAndPort = Annotated[str, AfterValidator(_with_port)]
"""A host with its port, such as `pictures.intranet:8080` or `[::1]:8080`."""


class DatasetSettings(Section):
    """A dataset whose rows hold pictures, such as `sqrti/SPA-VL`."""

    path: str | None = None
    """A Parquet file, a folder of them, a folder that `save_to_disk` of `datasets` wrote, or a dataset of the Hub."""
    config: str | None = None
    """Configuration (subset) of the dataset: the folder of its files."""
    split: str | None = None
    """Split, such as `train`; must be named where there are several."""
    revision: str | None = None
    """Hub: branch, tag or commit."""
    image: str = "image"
    """Column of the pictures: bytes, `{bytes, path}` as `datasets` stores them, or paths in the dataset's folder."""
    topic: str | None = None
    """Column of the subcategories. Unless named: `class3`, `topic` or `subcategory`, where there is one; else
    `build.collect.topic` is what all pictures show."""
    id: str | None = None
    """Column of the pictures' ids. Of several rows with one id the first is used. None: rows are numbered."""
    caption: str | None = None
    """Column of captions."""
    source: str | None = None
    """Column that says where a picture comes from, such as its address."""
    license: str | None = None
    """Column of licences, for rows that have one of their own."""
    benign: str | None = None
    """Column that says whether a picture is a harmless counterpart."""
    heldout: str | None = None
    """Column that says whether a picture is kept out of alignment."""


class DownloadSettings(Section):
    """How pictures are fetched from the web: http and https, from public addresses only."""

    concurrency: PositiveInt = 32
    """Most requests at once."""
    per_host: PositiveInt = 4
    """Most requests at once to one host."""
    max_bytes: PositiveInt = 33_554_432
    """A picture of more bytes is given up while it comes."""
    seconds: PositiveFloat = 30.0
    """Longest time of a whole download, its redirects included."""
    idle_seconds: PositiveFloat = 10.0
    """Longest time without a byte, and to connect."""
    redirects: NonNegativeInt = 5
    """Most redirects; each address is checked anew."""
    attempts: PositiveInt = 4
    """Attempts at a picture where the connection breaks or the server answers 429 or 5xx."""
    longest_wait: Annotated[float, Field(ge=0)] = 60.0
    """Longest pause in seconds that a server may ask for (`Retry-After`); where it asks for more, the next run asks
    again."""
    user_agent: str = "spavl"
    """What the requests call themselves. Some hosts want an address of yours in it."""
    allow_hosts: tuple[HostAndPort, ...] = ()
    """Hosts that may be asked though their addresses are private, each as `host:port`, such as a server of your own."""
