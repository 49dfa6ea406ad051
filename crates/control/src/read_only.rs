//! Synced tables are read-only for everyone but their writer, and still indexable.
//!
//! The owner of an instance inherits the writer's rights (from PostgreSQL 16 on, without being able to
//! become it), so that `create index` and `comment` work. Statement-level triggers stop writes, and event
//! triggers stop whoever would take the guard away. Before 16 membership cannot be limited that way, so
//! it is not given: nobody but the writer can write there, or index.

use lakeport_engine::WRITER_ROLE;
use lakeport_pg::QualifiedName;

/// From here on, membership in a role can exclude becoming it.
pub(crate) const SINCE_MAJOR: i32 = 16;

const TRIGGER: &str = "lakeport_read_only";

/// Run by the control plane's superuser in the table's database; repeating it changes nothing.
pub(crate) fn protect_sql(table: &QualifiedName) -> String {
    format!("{}\n{}", guards(), attach(table))
}

/// Functions and event triggers of one database, in a schema that only we can write.
fn guards() -> String {
    format!(
        r"
create schema if not exists lakeport_guard;
grant usage on schema lakeport_guard to public;

create or replace function lakeport_guard.refuse_write() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $guard$
begin
    if current_user <> '{WRITER_ROLE}' then
        raise exception 'table %.% is a synced table and cannot be changed here',
            quote_ident(tg_table_schema), quote_ident(tg_table_name)
            using errcode = 'read_only_sql_transaction',
                  hint = 'Change the Delta table that it comes from, and sync it.';
    end if;
    return null;
end $guard$;

create or replace function lakeport_guard.refuse_alter() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $guard$
declare altered record;
begin
    if current_user = '{WRITER_ROLE}'
       or (select rolsuper from pg_roles where rolname = current_user) then
        return;
    end if;
    for altered in
        select c.object_identity from pg_event_trigger_ddl_commands() c
        where c.command_tag in ('ALTER TABLE', 'CREATE TRIGGER', 'CREATE RULE')
          and exists (
              select from pg_trigger t
              where t.tgname = '{TRIGGER}'
                and t.tgrelid in (
                    c.objid,
                    (select p.tgrelid from pg_trigger p where p.oid = c.objid),
                    (select r.ev_class from pg_rewrite r where r.oid = c.objid)))
    loop
        raise exception '% belongs to a synced table, of which only indexes and comments can be changed',
            altered.object_identity using errcode = 'read_only_sql_transaction';
    end loop;
end $guard$;

create or replace function lakeport_guard.refuse_drop() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $guard$
begin
    if current_user = '{WRITER_ROLE}'
       or (select rolsuper from pg_roles where rolname = current_user) then
        return;
    end if;
    if exists (
        select from pg_event_trigger_dropped_objects() o
        where o.object_type = 'trigger' and o.original
          and o.address_names[cardinality(o.address_names)] = '{TRIGGER}')
    then
        raise exception 'the guard of a synced table cannot be dropped'
            using errcode = 'read_only_sql_transaction';
    end if;
end $guard$;

do $guard$ begin
    if not exists (select from pg_event_trigger where evtname = 'lakeport_refuse_alter') then
        create event trigger lakeport_refuse_alter on ddl_command_end
            when tag in ('ALTER TABLE', 'CREATE TRIGGER', 'CREATE RULE')
            execute function lakeport_guard.refuse_alter();
    end if;
    if not exists (select from pg_event_trigger where evtname = 'lakeport_refuse_drop') then
        create event trigger lakeport_refuse_drop on sql_drop
            when tag in ('DROP TRIGGER')
            execute function lakeport_guard.refuse_drop();
    end if;
end $guard$;"
    )
}

/// ALWAYS: so that no setting of a session switches it off.
fn attach(table: &QualifiedName) -> String {
    format!(
        "create or replace trigger {TRIGGER}
             before insert or update or delete or truncate on {table}
             for each statement execute function lakeport_guard.refuse_write();
         alter table {table} enable always trigger {TRIGGER};"
    )
}

/// A table that is no longer synced is its owner's to change.
pub(crate) fn release_sql(table: &QualifiedName) -> String {
    format!("drop trigger if exists {TRIGGER} on {table};")
}
