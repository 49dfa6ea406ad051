-- PostgreSQL roles that were made for tokens which read a few tables only, and when the last of those
-- tokens expires.
create table reader_roles (
    instance_uid uuid not null references instances on delete cascade,
    role         text not null,
    expires_at   timestamptz not null,
    primary key (instance_uid, role)
);
