"""Writes Delta tables whose columns are called as given: echo '["a", "b"]' | python make_words.py DIRECTORY.

`changing` has a change data feed and four versions; `reserved` has one version and the names, too, that Delta reserves
in tables with a feed. Each word is a column; `nth` and `held` identify a row.
"""

import json
import pathlib
import sys

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

ROOT = pathlib.Path(sys.argv[1])
WORDS = json.load(sys.stdin)
RESERVED = ["_change_type", "_commit_version", "_commit_timestamp"]


def rows(words, ids):
    columns = {word: pa.array([i * 1000 + n for i in ids], pa.int32()) for n, word in enumerate(words)}
    columns["nth"] = pa.array(ids, pa.int64())
    columns["held"] = pa.array([i / 2 for i in ids], pa.float64())
    columns["balance"] = pa.array(ids, pa.int64())
    return pa.table(columns)


words = [word for word in WORDS if word not in RESERVED]
changing = str(ROOT / "changing")
write_deltalake(changing, rows(words, [1, 2, 3]), configuration={"delta.enableChangeDataFeed": "true"})
DeltaTable(changing).update(predicate="nth = 2", updates={"balance": "77", "n": "5", "lost": "6"})
DeltaTable(changing).delete("nth = 3")
write_deltalake(changing, rows(words, [4]), mode="append")
write_deltalake(str(ROOT / "reserved"), rows(words + RESERVED, [1, 2, 3]))
