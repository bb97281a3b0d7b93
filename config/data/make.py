#!/usr/bin/env python3
"""Makes zones.txt and regions.txt, the tables behind sending hours.

Both come from libphonenumber, by way of its Python edition: `pip install phonenumbers==VERSION`, then

    python3 config/data/make.py YYYY-MM-DD

with the date of that day, which is written into the files. What is in both is sorted and says only what the next shorter
prefix does not say already, so that a difference between two versions is a short one. A name that the script does not
know ends it: whoever takes a new version over decides what the name is.
"""

import datetime
import pathlib
import re
import sys

import phonenumbers
from phonenumbers.geodata import GEOCODE_DATA
from phonenumbers.tzdata import TIMEZONE_DATA

# States of the USA with its district, and provinces and territories of Canada, as the data names them.
NAMES = {
    "Alabama": "AL", "Alaska": "AK", "Arizona": "AZ", "Arkansas": "AR", "California": "CA", "Colorado": "CO",
    "Connecticut": "CT", "Delaware": "DE", "Florida": "FL", "Georgia": "GA", "Hawaii": "HI", "Idaho": "ID",
    "Illinois": "IL", "Indiana": "IN", "Iowa": "IA", "Kansas": "KS", "Kentucky": "KY", "Louisiana": "LA",
    "Maine": "ME", "Maryland": "MD", "Massachusetts": "MA", "Michigan": "MI", "Minnesota": "MN",
    "Mississippi": "MS", "Missouri": "MO", "Montana": "MT", "Nebraska": "NE", "Nevada": "NV",
    "New Hampshire": "NH", "New Jersey": "NJ", "New Mexico": "NM", "New York": "NY", "North Carolina": "NC",
    "North Dakota": "ND", "Ohio": "OH", "Oklahoma": "OK", "Oregon": "OR", "Pennsylvania": "PA",
    "Rhode Island": "RI", "South Carolina": "SC", "South Dakota": "SD", "Tennessee": "TN", "Texas": "TX",
    "Utah": "UT", "Vermont": "VT", "Virginia": "VA", "Washington State": "WA", "Washington D.C.": "DC",
    "West Virginia": "WV", "Wisconsin": "WI", "Wyoming": "WY",
    "Alberta": "AB", "British Columbia": "BC", "British Colombia": "BC", "Manitoba": "MB", "New Brunswick": "NB",
    "Newfoundland and Labrador": "NL", "Nova Scotia": "NS", "Nunavut": "NU", "Northwest Territories": "NT",
    "Ontario": "ON", "Prince Edward Island": "PE", "Quebec": "QC", "Saskatchewan": "SK", "Yukon": "YT",
    "Watson Lake": "YT",
}
CODES = set(NAMES.values())
# Area codes whose names are of neither: the Bahamas, the Cayman Islands, Turks and Caicos, Guam, the Dominican
# Republic, Jamaica, the Virgin Islands.
ELSEWHERE = ("1242", "1345", "1649", "1671", "1809", "1829", "1849", "1876", "1658", "1340")


def regions_of(prefix, name):
    """The codes that a place's name says, or None for a place in neither country."""
    if prefix.startswith(ELSEWHERE):
        return None
    town = re.search(r", ([A-Z]{2})$", name)
    codes = [town.group(1)] if town else [NAMES.get(part) for part in name.split("/")]
    if not all(code in CODES for code in codes):
        sys.exit(f"{prefix}: {name!r} is a name that NAMES does not have")
    return "&".join(sorted(codes))


def without_what_is_inherited(table):
    """Leaves out what the next shorter prefix says already."""
    def inherited(prefix):
        shorter = (prefix[:end] for end in range(len(prefix) - 1, 0, -1))
        return next((table[prefix] for prefix in shorter if prefix in table), None)
    return {prefix: value for prefix, value in table.items() if inherited(prefix) != value}


def write(name, what, resource, checked, table):
    lines = [
        f"# {what}",
        f"# From libphonenumber {phonenumbers.__version__}, {resource}, by config/data/make.py, {checked}.",
        "# Copyright (C) The Libphonenumber Authors, Apache License 2.0; see NOTICE beside this file.",
    ]
    lines += [f"{prefix} {value}" for prefix, value in sorted(table.items())]
    (pathlib.Path(__file__).parent / name).write_text("\n".join(lines) + "\n", encoding="ascii")
    print(f"{name}: {len(table)} prefixes")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    checked = datetime.date.fromisoformat(sys.argv[1]).isoformat()
    zones = {prefix: "&".join(zones) for prefix, zones in TIMEZONE_DATA.items()}
    write(
        "zones.txt",
        "Prefixes of international numbers and the time zones in which they may be.",
        "resources/timezones/map_data.txt",
        checked,
        without_what_is_inherited(zones),
    )
    regions = {}
    for prefix, names in GEOCODE_DATA.items():
        if prefix.startswith("1") and "en" in names:
            codes = regions_of(prefix, names["en"])
            if codes:
                regions[prefix] = codes
    write(
        "regions.txt",
        "Prefixes of numbers of +1 and the state or province in which they may be.",
        "resources/geocoding/en/1.txt",
        checked,
        without_what_is_inherited(regions),
    )


main()
