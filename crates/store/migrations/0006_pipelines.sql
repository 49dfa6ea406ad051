-- A pipeline may have several synced tables. Its schedule and its pause are its own; what an update comes to
-- is told for each of its tables.
create table pipelines (
    id                uuid primary key,
    instance_uid      uuid not null references instances,
    policy            text not null,
    creator           text not null,
    created_at        timestamptz not null default now(),
    paused_at         timestamptz,
    -- A crontab line or a Quartz expression, in a time zone; both or neither.
    schedule          text,
    schedule_timezone text,
    -- When the schedule asks for the next update.
    next_run          timestamptz
);

insert into pipelines (id, instance_uid, policy, creator, created_at)
    select pipeline_id, instance_uid, coalesce(request -> 'spec' ->> 'scheduling_policy', 'SNAPSHOT'),
        creator, created_at
    from synced_tables;

alter table pipeline_updates drop constraint pipeline_updates_pipeline_id_fkey;
alter table pipeline_events drop constraint pipeline_events_pipeline_id_fkey;
alter table synced_tables drop constraint synced_tables_pipeline_id_key;
alter table synced_tables add foreign key (pipeline_id) references pipelines;
alter table pipeline_updates add foreign key (pipeline_id) references pipelines on delete cascade;
alter table pipeline_events add foreign key (pipeline_id) references pipelines on delete cascade;
create index on synced_tables (pipeline_id);

-- What the create call of other services has no field for.
alter table synced_tables add column settings jsonb not null default '{}';

-- The share of one table in an update.
create table pipeline_update_tables (
    update_id       uuid not null references pipeline_updates (id) on delete cascade,
    synced_table_id uuid not null references synced_tables (id) on delete cascade,
    full_refresh    boolean not null,
    state           text not null default 'QUEUED',
    -- When the first run has succeeded. A full refresh is not repeated afterwards, although the update of a
    -- continuous pipeline goes on.
    refreshed_at    timestamptz,
    finished_at     timestamptz,
    primary key (update_id, synced_table_id)
);

create index on pipeline_update_tables (synced_table_id) where finished_at is null;

insert into pipeline_update_tables
    (update_id, synced_table_id, full_refresh, state, refreshed_at, finished_at)
    select u.id, s.id, u.full_refresh, u.state, u.refreshed_at, u.finished_at
    from pipeline_updates u join synced_tables s on s.pipeline_id = u.pipeline_id;

alter table pipeline_updates drop column refreshed_at;
