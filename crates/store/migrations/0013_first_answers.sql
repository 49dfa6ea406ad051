-- A name is free as soon as the deletion of its instance has begun.
alter table instances drop constraint instances_name_key;
create unique index instances_name_key on instances (name) where deleted_at is null;

-- An instance that was created stopped runs first: clients wait until they have seen it available.
alter table instances
    add column created_stopped boolean not null default false,
    add column available_at    timestamptz;

-- Creates whose answer has not been written to their client, as far as is known.
create table unanswered_creates (
    -- The id of what was created.
    object_id  uuid primary key,
    -- SHA-256 of the client and of the whole request.
    digest     bytea not null,
    -- The server that answers; null: the connection broke, or the server died, before the answer was written.
    node_id    uuid,
    -- Since when that server has been about to answer.
    since      timestamptz not null default now(),
    created_at timestamptz not null default now()
);

-- The group of everybody. Where an installation has something of that name already, it stays what it is.
insert into principals (kind, user_name, display_name, built_in)
    values ('GROUP', 'users', 'users', true)
    on conflict (user_name) do nothing;

-- Every group that holds the principal, directly or through other groups; `union` ends at a ring. Every
-- user and service principal is in the built-in group `users`, which has no rows of members.
create or replace function groups_of(principal bigint) returns setof bigint
    language sql stable
    as $$
        with recursive above (group_id) as (
            (
                select m.group_id from group_members m where m.member_id = principal
                union
                select everybody.id from principals everybody, principals p
                where everybody.built_in and everybody.user_name = 'users'
                  and p.id = principal and p.kind <> 'GROUP'
            )
            union
            select m.group_id from group_members m join above a on m.member_id = a.group_id
        )
        select group_id from above
    $$;
