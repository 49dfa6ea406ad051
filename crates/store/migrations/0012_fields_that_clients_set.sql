-- Fields of the API that clients have set and nothing here acts on.
alter table unity_catalogs add column settings jsonb not null default '{}';
alter table unity_schemas add column settings jsonb not null default '{}';

-- What lies in a catalog or a schema follows its name. Checks wait where all rows follow in one transaction.
alter table unity_schemas
    drop constraint unity_schemas_catalog_name_fkey,
    add constraint unity_schemas_catalog_name_fkey
        foreign key (catalog_name) references unity_catalogs
        on update cascade deferrable initially immediate;
alter table unity_tables
    drop constraint unity_tables_catalog_name_schema_name_fkey,
    add constraint unity_tables_catalog_name_schema_name_fkey
        foreign key (catalog_name, schema_name) references unity_schemas
        on update cascade deferrable initially immediate;
alter table unity_grants
    drop constraint unity_grants_catalog_name_fkey,
    drop constraint unity_grants_catalog_name_schema_name_fkey,
    drop constraint unity_grants_catalog_name_schema_name_table_name_fkey,
    add constraint unity_grants_catalog_name_fkey
        foreign key (catalog_name) references unity_catalogs
        on update cascade on delete cascade deferrable initially immediate,
    add constraint unity_grants_catalog_name_schema_name_fkey
        foreign key (catalog_name, schema_name) references unity_schemas
        on update cascade on delete cascade deferrable initially immediate,
    add constraint unity_grants_catalog_name_schema_name_table_name_fkey
        foreign key (catalog_name, schema_name, table_name) references unity_tables
        on update cascade on delete cascade deferrable initially immediate;

-- An entitlement without a name was kept as an empty one, which clients cannot read.
update principals set entitlements = array_remove(entitlements, '') where '' = any (entitlements);

-- An update that named fields without giving them left `false` and `[]` in their place. No tags and no
-- secondaries together are what such an update of all fields leaves; what stood there means the same unset.
update instances
    set spec = spec - 'custom_tags' - 'enable_readable_secondaries'
        - case when spec -> 'stopped' = 'false' then array['stopped'] else '{}' end
        - case when spec -> 'enable_pg_native_login' = 'false'
               then array['enable_pg_native_login'] else '{}' end
    where generation > 1 and spec -> 'custom_tags' = '[]'
      and spec -> 'enable_readable_secondaries' = 'false';

-- Null: nobody has set it.
alter table federation_policies
    alter column audiences drop not null,
    alter column subject_claim drop not null,
    alter column description drop not null;
update federation_policies set description = null where description = '';
update federation_policies set audiences = null where audiences = '{}';
