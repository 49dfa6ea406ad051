"""What polars knows of a catalog: its schemas, its tables and their types. Arguments: server, catalog, schema; the token
is in TOKEN. Prints a mapping from tables to the types of their columns, as polars spells them."""

import json
import os
import sys
import warnings

import polars

HOST, CATALOG, SCHEMA = sys.argv[1:]


def main() -> None:
    warnings.simplefilter("ignore")
    catalog = polars.Catalog(HOST, bearer_token=os.environ["TOKEN"], require_https=False)
    assert CATALOG in [one.name for one in catalog.list_catalogs()]
    assert SCHEMA in [one.name for one in catalog.list_namespaces(CATALOG)]
    listed = {table.name: table.get_polars_schema() for table in catalog.list_tables(CATALOG, SCHEMA)}
    for name, schema in listed.items():
        assert catalog.get_table_info(CATALOG, SCHEMA, name).get_polars_schema() == schema
    print(json.dumps({name: {c: str(t) for c, t in schema.items()} for name, schema in listed.items()}))


main()
