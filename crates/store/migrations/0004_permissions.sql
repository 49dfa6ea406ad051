-- What a principal may do with an instance: a user, a service principal, or everyone in a group.
create table instance_permissions (
    instance_uid uuid not null references instances on delete cascade,
    principal_id bigint not null references principals on delete cascade,
    level        text not null
        constraint instance_permissions_level check (level in ('CAN_USE', 'CAN_MANAGE')),
    granted_at   timestamptz not null default now(),
    primary key (instance_uid, principal_id)
);

create index on instance_permissions (principal_id);

insert into instance_permissions (instance_uid, principal_id, level)
    select i.uid, p.id, 'CAN_MANAGE' from instances i join principals p on p.user_name = i.creator;

-- Counts changes of principals, so that every server sees cheaply that its databases' lists of them are
-- old. A row and not a sequence: it must not count before the change is committed.
create table identity_revision (
    one      boolean primary key default true check (one),
    revision bigint not null
);

insert into identity_revision (revision) values (1);

create function count_identity_change() returns trigger
    language plpgsql
    as $$
    begin
        update identity_revision set revision = revision + 1;
        return null;
    end
    $$;

create trigger identity_change
    after insert or update or delete on principals
    for each statement execute function count_identity_change();
