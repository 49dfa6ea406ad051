-- Users, service principals and groups are principals of one table: their names share the name space of
-- PostgreSQL roles.
alter table principals
    add column kind           text not null default 'USER'
        constraint principals_kind check (kind in ('USER', 'SERVICE_PRINCIPAL', 'GROUP')),
    add column application_id uuid constraint principals_application_id unique,
    add column external_id    text,
    add column entitlements   text[] not null default '{}',
    -- Argon2 in PHC form; null: no login by password.
    add column password_hash  text,
    -- Part of the installation: it cannot be renamed or deleted.
    add column built_in       boolean not null default false,
    add column generation     bigint not null default 1,
    add constraint principals_application
        check ((kind = 'SERVICE_PRINCIPAL') = (application_id is not null));

create table group_members (
    group_id  bigint not null references principals on delete cascade,
    member_id bigint not null references principals on delete cascade,
    primary key (group_id, member_id)
);

create index on group_members (member_id);

-- Every group that holds the principal, directly or through other groups; `union` ends at a ring.
create function groups_of(principal bigint) returns setof bigint
    language sql stable
    as $$
        with recursive above (group_id) as (
            select m.group_id from group_members m where m.member_id = principal
            union
            select m.group_id from group_members m join above a on m.member_id = a.group_id
        )
        select group_id from above
    $$;

-- Administrators are the members of the built-in group.
create function is_admin(principal bigint) returns boolean
    language sql stable
    as $$
        select exists (
            select from groups_of(principal) g (id) join principals p on p.id = g.id
            where p.built_in and p.user_name = 'admins'
        )
    $$;

insert into principals (kind, user_name, display_name, built_in)
    values ('GROUP', 'admins', 'admins', true);

insert into group_members (group_id, member_id)
    select a.id, p.id from principals p, principals a where p.is_admin and a.built_in;

alter table principals drop column is_admin;

create table service_principal_secrets (
    id           uuid primary key,
    principal_id bigint not null references principals on delete cascade,
    digest       bytea not null unique,
    created_at   timestamptz not null default now(),
    expires_at   timestamptz
);

create index on service_principal_secrets (principal_id);

-- What a user has allowed a client; revoking it ends every token that came of it.
create table oauth_grants (
    id           uuid primary key,
    principal_id bigint not null references principals on delete cascade,
    client_id    text not null,
    scope        text not null,
    created_at   timestamptz not null default now(),
    revoked_at   timestamptz
);

create table authorization_codes (
    digest         bytea primary key,
    grant_id       uuid not null references oauth_grants on delete cascade,
    redirect_uri   text not null,
    code_challenge text not null,
    expires_at     timestamptz not null,
    used_at        timestamptz
);

create table refresh_tokens (
    digest     bytea primary key,
    grant_id   uuid not null references oauth_grants on delete cascade,
    expires_at timestamptz not null,
    used_at    timestamptz
);

create index on authorization_codes (grant_id);
create index on refresh_tokens (grant_id);

-- Access tokens that were revoked before they expired.
create table revoked_tokens (
    id         text primary key,
    expires_at timestamptz not null
);

-- One-time links that sign a user in, and the browsers that are signed in.
create table login_links (
    digest       bytea primary key,
    principal_id bigint not null references principals on delete cascade,
    expires_at   timestamptz not null
);

create table login_sessions (
    digest       bytea primary key,
    principal_id bigint not null references principals on delete cascade,
    expires_at   timestamptz not null
);
