"""Writes rules.tsv from the wheel `ua-parser-builtins`, unpacked in the folder that is given.

Afterwards, `UPDATE_EXPECT=1 cargo test -p wattle-node-user-agent` fills in the second column.
"""

import pathlib
import sys
import types

matchers = types.ModuleType("ua_parser.matchers")
for name in ("UserAgentMatcher", "OSMatcher", "DeviceMatcher"):
    setattr(matchers, name, lambda *columns: columns)
sys.modules["ua_parser"] = types.ModuleType("ua_parser")
sys.modules["ua_parser.matchers"] = matchers
sys.path.insert(0, sys.argv[1])
from ua_parser_builtins.matchers import MATCHERS

lines = []
for kind, rules in zip("uod", MATCHERS):
    for regex, *columns in rules:
        if kind == "d":
            flag, *columns = columns or [None]
            regex = "(?i)" * (flag == "i") + regex
        line = "\t".join([kind, "", regex, *(column or "" for column in columns)]).rstrip("\t")
        assert line.count("\n") == 0 and line.count("\t") <= 7, line
        lines.append(line)
pathlib.Path(__file__).with_name("rules.tsv").write_text("\n".join(lines) + "\n")
