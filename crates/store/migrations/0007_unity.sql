alter table unity_catalogs
    add column created_by text,
    add column updated_at timestamptz,
    add column updated_by text;
update unity_catalogs set created_by = owner;

alter table unity_schemas
    add column created_by text,
    add column updated_at timestamptz,
    add column updated_by text;
update unity_schemas set created_by = owner;

-- A table is a Delta table at a location, or a table of a database that is read where it is.
alter table unity_tables
    add column created_by text,
    add column updated_at timestamptz,
    add column updated_by text,
    add column constraints jsonb not null default '[]',
    add column instance_uid uuid references instances on delete cascade,
    add column database_name text,
    alter column storage_location drop not null,
    add constraint unity_tables_kind check (
        (storage_location is null) = (instance_uid is not null)
        and (instance_uid is null) = (database_name is null));
update unity_tables set created_by = owner;

create index on unity_tables (instance_uid) where instance_uid is not null;

alter table database_catalogs
    add column owner text,
    add column comment text,
    add column properties jsonb not null default '{}',
    add column updated_at timestamptz,
    add column updated_by text;
update database_catalogs set owner = creator;

-- Rights on the embedded catalog. Those on registered databases are PostgreSQL's own.
create table unity_grants (
    catalog_name text not null references unity_catalogs on delete cascade,
    schema_name  text,
    table_name   text,
    -- Null: everybody.
    principal    text references principals (user_name) on update cascade on delete cascade,
    privilege    text not null,
    unique nulls not distinct (catalog_name, schema_name, table_name, principal, privilege),
    check (table_name is null or schema_name is not null),
    foreign key (catalog_name, schema_name) references unity_schemas on delete cascade,
    foreign key (catalog_name, schema_name, table_name) references unity_tables on delete cascade
);

create index on unity_grants (principal);
