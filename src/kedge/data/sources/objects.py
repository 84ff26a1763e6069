"""Objects of S3, Google Cloud Storage and Azure: those under a URL, fetched when their tag has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from kedge.core.errors import NotFound, Unavailable
from kedge.data.types import SourceFile

CHUNK = 8 << 20
SETTINGS = ("endpoint", "region", "account")


def bring(url: str, folder: Path) -> list[SourceFile]:
    """Every object under the URL, or the one that it names. Access is as the provider's own tools find it.

    Settings that are no secret may stand in the query: `s3://bucket/folder?endpoint=http://127.0.0.1:9000`.
    """
    parts = urlsplit(url)
    base, prefix = f"{parts.scheme}://{parts.netloc}", parts.path.strip("/")
    settings: Any = {key: value for key, value in parse_qsl(parts.query) if key in SETTINGS}
    plain = settings.get("endpoint", "").startswith("http://")
    try:
        store = from_url(base, config=settings or None, client_options={"allow_http": True} if plain else None)
        listed = [item for batch in obstore.list(store, prefix or None) for item in batch]
        if not listed and prefix:  # a listing under the name of an object is empty
            listed = [obstore.head(store, prefix)]
        chosen = [item for item in listed if not _hidden(str(item["path"])[len(prefix) :])]
        files = [_fetched(store, base, item, folder) for item in chosen if item["size"]]
    except FileNotFoundError as error:
        raise NotFound(f"nothing is at {url}", address=url) from error
    except (BaseError, OSError) as error:
        raise Unavailable(f"cannot read {url}: {str(error)[:300]}", address=url, hint="is access set up?") from error
    if not files:
        raise NotFound(f"nothing is at {url}", address=url)
    return files


def _hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/") if part)


def _fetched(store: ObjectStore, base: str, facts: Mapping[str, Any], folder: Path) -> SourceFile:
    """The object as a file named by its place and its tag; it appears whole."""
    name = str(facts["path"])
    told = f"{base}/{name}\0{facts['e_tag']}\0{facts['size']}\0{facts['last_modified']}"
    path = folder / "objects" / hashlib.sha256(told.encode()).hexdigest()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as out:
            for chunk in obstore.get(store, name).stream(CHUNK):
                out.write(chunk)
        temporary.replace(path)
    return SourceFile(path=path, label=f"{base}/{name}")
