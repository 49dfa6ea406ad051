-- Apps: a service principal, what it may use, what is deployed, and the process that runs it.
create table apps (
    id           uuid primary key,
    name         text not null unique,
    principal_id bigint not null unique references principals,
    creator      text not null,
    created_at   timestamptz not null default now(),
    updater      text not null,
    updated_at   timestamptz not null default now(),
    -- The fields that the client has set, as it has set them.
    spec         jsonb not null,
    stopped      boolean not null,
    deleted_at   timestamptz
);

-- What an app's role shall have, or shall no longer have, in a database.
create table app_grants (
    app_id        uuid not null references apps on delete cascade,
    instance_uid  uuid not null references instances on delete cascade,
    database_name text not null,
    wanted        boolean not null,
    -- What is wanted was done; what is no longer wanted has no row once that was done.
    settled       boolean not null default false,
    message       text,
    next_attempt  timestamptz not null default now(),
    primary key (app_id, instance_uid, database_name)
);

create index on app_grants (instance_uid);

create table app_deployments (
    seq        bigint generated always as identity primary key,
    id         uuid not null unique,
    app_id     uuid not null references apps on delete cascade,
    request    jsonb not null,
    creator    text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    state      text not null,
    message    text not null
);

create index on app_deployments (app_id, seq);

-- One run at a time: a new one ends the one before, and with it the secret that it was given.
create table app_runs (
    app_id    uuid primary key references apps on delete cascade,
    id        uuid not null unique,
    secret_id uuid not null,
    state     text not null,
    message   text not null,
    url       text,
    seen_at   timestamptz not null default now()
);
