-- Settings of the whole installation: workspace_id, account_id.
create table settings (
    key   text primary key,
    value text not null
);

-- Data directories that hold instances of this metadata database.
create table nodes (
    id            uuid primary key,
    registered_at timestamptz not null default now()
);

-- CA key and admin secrets, sealed under the key of the installation.
create table secrets (
    name   text primary key,
    sealed bytea not null
);

create table signing_keys (
    kid        text primary key,
    created_at timestamptz not null default now(),
    public_key bytea not null,
    sealed     bytea not null,
    -- Still good for verification until then; null: the key that signs.
    retires_at timestamptz
);

create table principals (
    id           bigint generated always as identity (start with 1000001) primary key,
    user_name    text not null unique,
    display_name text not null,
    is_admin     boolean not null default false,
    active       boolean not null default true,
    created_at   timestamptz not null default now()
);

create table access_tokens (
    id           uuid primary key default gen_random_uuid(),
    principal_id bigint not null references principals on delete cascade,
    -- SHA-256 of the token: it is random with 256 bits, so that nothing slower is needed.
    digest       bytea not null unique,
    comment      text not null,
    created_at   timestamptz not null default now(),
    expires_at   timestamptz
);

create table instances (
    uid                 uuid primary key,
    name                text not null unique,
    node_id             uuid not null references nodes,
    creator             text not null,
    created_at          timestamptz not null default now(),
    pg_version          integer not null,
    -- The fields that the client has set, as it has set them.
    spec                jsonb not null,
    generation          bigint not null default 1,
    deleted_at          timestamptz,
    -- What the reconciler has seen and done.
    state               text not null,
    message             text,
    observed_generation bigint not null default 0,
    address             text unique,
    attempts            integer not null default 0,
    next_attempt        timestamptz not null default now(),
    lease_owner         uuid,
    lease_until         timestamptz
);

create table database_catalogs (
    name          text primary key,
    uid           uuid not null unique,
    instance_uid  uuid not null references instances,
    database_name text not null,
    creator       text not null,
    created_at    timestamptz not null default now(),
    constraint database_catalogs_database unique (instance_uid, database_name)
);

create table unity_catalogs (
    name       text primary key,
    owner      text not null,
    comment    text,
    properties jsonb not null default '{}',
    created_at timestamptz not null default now()
);

create table unity_schemas (
    id           uuid not null unique,
    catalog_name text not null references unity_catalogs,
    name         text not null,
    owner        text not null,
    comment      text,
    properties   jsonb not null default '{}',
    created_at   timestamptz not null default now(),
    primary key (catalog_name, name)
);

create table unity_tables (
    id               uuid not null unique,
    catalog_name     text not null,
    schema_name      text not null,
    name             text not null,
    owner            text not null,
    storage_location text not null,
    comment          text,
    columns          jsonb not null default '[]',
    properties       jsonb not null default '{}',
    created_at       timestamptz not null default now(),
    primary key (catalog_name, schema_name, name),
    foreign key (catalog_name, schema_name) references unity_schemas
);

create table synced_tables (
    name                text primary key,
    id                  uuid not null unique,
    pipeline_id         uuid not null unique,
    instance_uid        uuid not null references instances,
    database_name       text not null,
    schema_name         text not null,
    table_name          text not null,
    creator             text not null,
    created_at          timestamptz not null default now(),
    -- The request as the client sent it: instance, database and spec.
    request             jsonb not null,
    deleted_at          timestamptz,
    purge_data          boolean not null default false,
    state               text not null,
    message             text,
    applied_version     bigint,
    applied_commit_at   timestamptz,
    applied_started_at  timestamptz,
    applied_finished_at timestamptz,
    attempts            integer not null default 0,
    next_attempt        timestamptz not null default now(),
    lease_owner         uuid,
    lease_until         timestamptz,
    constraint synced_tables_target unique (instance_uid, database_name, schema_name, table_name)
);

create table pipeline_updates (
    seq          bigint generated always as identity primary key,
    id           uuid not null unique,
    pipeline_id  uuid not null references synced_tables (pipeline_id) on delete cascade,
    state        text not null,
    cause        text not null,
    full_refresh boolean not null default false,
    created_at   timestamptz not null default now(),
    finished_at  timestamptz
);

create index on pipeline_updates (pipeline_id, seq);

create table pipeline_events (
    seq         bigint generated always as identity primary key,
    id          uuid not null unique,
    pipeline_id uuid not null references synced_tables (pipeline_id) on delete cascade,
    update_id   uuid,
    at          timestamptz not null default clock_timestamp(),
    level       text not null,
    event_type  text not null,
    message     text not null
);

create index on pipeline_events (pipeline_id, seq);
