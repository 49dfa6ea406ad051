"""A catalog's life through the SDK of the open-source Unity Catalog. Arguments: server, a catalog to make, a Delta
table's location; the token is in TOKEN. Prints what it has seen."""

import asyncio
import json
import os
import sys

from unitycatalog.client import (
    ApiClient,
    CatalogsApi,
    Configuration,
    CreateCatalog,
    CreateSchema,
    CreateTable,
    GenerateTemporaryTableCredential,
    SchemasApi,
    TablesApi,
    TemporaryCredentialsApi,
    UpdateCatalog,
)

HOST, CATALOG, LOCATION = sys.argv[1:]


async def main() -> None:
    configuration = Configuration(host=f"{HOST}/api/2.1/unity-catalog")
    bearer = f"Bearer {os.environ['TOKEN']}"
    async with ApiClient(configuration, header_name="Authorization", header_value=bearer) as api:
        catalogs, schemas, tables = CatalogsApi(api), SchemasApi(api), TablesApi(api)
        await catalogs.create_catalog(CreateCatalog(name=CATALOG, comment="made by the SDK"))
        await catalogs.update_catalog(CATALOG, UpdateCatalog(comment="changed by the SDK"))
        await schemas.create_schema(CreateSchema(name="s", catalog_name=CATALOG))
        await tables.create_table(
            CreateTable(
                name="t",
                catalog_name=CATALOG,
                schema_name="s",
                table_type="EXTERNAL",
                data_source_format="DELTA",
                columns=[],
                storage_location=LOCATION,
            )
        )
        listed = (await tables.list_tables(CATALOG, "s")).tables
        table = await tables.get_table(f"{CATALOG}.s.t")
        asked = GenerateTemporaryTableCredential(table_id=table.table_id, operation="READ")
        given = await TemporaryCredentialsApi(api).generate_temporary_table_credentials(asked)
        seen = {
            "comment": (await catalogs.get_catalog(CATALOG)).comment,
            "schemas": [schema.full_name for schema in (await schemas.list_schemas(CATALOG)).schemas],
            "tables": [found.name for found in listed],
            "columns": [[column.name, column.type_name] for column in table.columns],
            "location": table.storage_location,
            "expires": given.expiration_time,
        }
        await tables.delete_table(f"{CATALOG}.s.t")
        await schemas.delete_schema(f"{CATALOG}.s")
        await catalogs.delete_catalog(CATALOG)
        seen["left"] = [catalog.name for catalog in (await catalogs.list_catalogs()).catalogs]
    print(json.dumps(seen, default=str))


asyncio.run(main())
