"""The citation names the version, and the paper."""

import tomllib
from pathlib import Path

import yaml


def test_the_citation_is_of_this_version_and_names_the_paper():
    citation = yaml.safe_load(Path("CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format asks for
    assert (citation["title"], str(citation["version"])) == (project["name"], project["version"])
    assert citation["license"] == project["license"]["text"]
    (paper,) = citation["references"]
    assert paper["url"].endswith("2012.15511")
    assert [author["family-names"] for author in paper["authors"]] == ["Shen", "Zhang", "Hong", "Chen"]
