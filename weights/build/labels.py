"""Age and sex of training pictures, as the names of their files and sets tell them, as a CSV for
``faceswap_cli.training.attributes``: one line per picture of the pool, empty where nothing is known.

python weights/build/labels.py SHARDS POOL OUT.csv

SHARDS holds ``train.csv``, the manifest that the pool was made of.  Ages are those of prompts ("a 70 year
old"), of the rows of search pages for young, middle-aged and old people, and the usual age of a set's people;
they are good to some years in a prompt and to ten or fifteen in a page.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

PAGES = {
    "Ethnicity x Age 1": {},
    "SFHQ_variability_age": {4: 35, 5: 62},
    "SFHQ_variability_age_X_ethnicity_1": {4: 27, 5: 70},
    "SFHQ_variability_age_X_ethnicity_2": {4: 30, 5: 68},
    "Age_x_Ethnicity x Sex 1": {4: 32, 5: 70},
    "Age_x_Ethnicity x Sex 2": {4: 30, 5: 65},
    "textual_search_2_Age_top": {4: 28, 5: 78},
    "search_1_age_female": {4: 45, 5: 52, 6: 78},
    "search_1_age_male": {4: 50, 5: 52, 6: 78},
}
"""Part of a page's name -> row -> age of the people in it, from looking at them."""
OLD_PAGE, OLD = "Ethnicity x Age 1", 75
LONDON, CONGRESS = 26, 57


def age(row: dict[str, str]) -> float | None:
    """Years, or None."""
    origin = row["origin"]
    if found := re.search(r"a_(\d+)_year_old", origin):
        return float(found[1])
    if OLD_PAGE in origin:
        return OLD
    place = re.search(r"#r(\d+)c", origin)
    for name, rows in PAGES.items():
        if name in origin and place:
            return rows.get(int(place[1]))
    return {"london": LONDON, "uscongress": CONGRESS}.get(row["set"])


def masculine(row: dict[str, str]) -> float | None:
    """1, -1 or None."""
    origin = row["origin"].lower()
    if re.search(r"/female/|:female/|data/woman|_woman_|age_female", origin):
        return -1.0
    if re.search(r"/male/|:male/|data/man/|_man_|age_male", origin):
        return 1.0
    if row["set"] == "sdfd":
        return {"wo": -1.0, "ma": 1.0}.get(origin.rsplit("/", 1)[-1][:2])
    return None


def main() -> None:
    import numpy as np

    shards, pool, out = map(Path, sys.argv[1:4])
    classes = ("open", "stock", "synthetic-nolicence")
    with (shards / "train.csv").open(newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["licence_class"] in classes]
    order = [
        row for shard in dict.fromkeys(r["shard"] for r in rows) for row in rows if row["shard"] == shard
    ]
    with np.load(pool / "table.npz") as table:
        licences = [str(x) for x in table["licence"]]
    if [row["licence_class"] for row in order] != licences[: len(order)]:
        raise SystemExit(f"{pool} was not made of {shards}")
    with out.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["row", "age", "masculine"])
        for number, row in enumerate(order):
            told = [age(row), masculine(row)]
            if told != [None, None]:
                writer.writerow([number, *("" if value is None else value for value in told)])


if __name__ == "__main__":
    main()
