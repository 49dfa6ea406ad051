//! Synced tables are read-only for everyone but their writer, and still indexable.
//!
//! They belong to a role whose rights the owner of an instance inherits (from PostgreSQL 16 on, without
//! being able to become it), so that `create index` and `comment` work. A statement-level trigger stops
//! writes, which `pg_write_all_data` would allow, and an event trigger stops whoever would take the guard
//! away or get around it. Before 16 membership cannot be limited that way, so it is not given, and the
//! owner of an instance cannot index there.
//!
//! The statements run as the control plane's superuser. Nothing that a user has made is used: the schema
//! of the guard must be ours, and only we can make objects in it.
//!
//! The guards stay out of `pg_dump`, so that an owner's dump restores anywhere: they are members of the
//! extension `plpgsql`, which every database has and no dump describes, and the triggers are internal.

use lakeport_engine::{ADMIN_ROLE, WRITER_ROLE};
use lakeport_pg::{QualifiedName, quote_literal};

const TRIGGER: &str = "lakeport_read_only";

/// Repeating it changes nothing.
pub(crate) fn protect_sql(table: &QualifiedName) -> String {
    let (table, positions) = (attach(&table.to_string()), attach_to_positions());
    format!("{}\n{table}\n{positions}\n{HIDE}", guards())
}

/// Keeps the guards that an earlier version has made out of dumps. Locks no table.
pub(crate) fn hide_sql() -> String {
    format!("{}\n{HIDE}", guards())
}

/// Whether this database has guards that `pg_dump` describes.
pub(crate) const IN_DUMPS: &str = "select exists (
        select from pg_catalog.pg_event_trigger e
        where e.evtname in ('lakeport_refuse_ddl', 'lakeport_refuse_drop')
          and not exists (select from pg_catalog.pg_depend d
                          where d.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass
                            and d.objid = e.oid and d.deptype = 'e'))";

const HIDE: &str = "
do $guard$
declare guard record;
begin
    for guard in
        select * from (values
            ('schema lakeport_guard', 'pg_namespace'::regclass, 'lakeport_guard'::regnamespace::oid),
            ('function lakeport_guard.refuse_write()', 'pg_proc', 'lakeport_guard.refuse_write()'::regprocedure::oid),
            ('function lakeport_guard.is_guarded(oid)', 'pg_proc', 'lakeport_guard.is_guarded(oid)'::regprocedure::oid),
            ('function lakeport_guard.refuse_ddl()', 'pg_proc', 'lakeport_guard.refuse_ddl()'::regprocedure::oid),
            ('function lakeport_guard.refuse_drop()', 'pg_proc', 'lakeport_guard.refuse_drop()'::regprocedure::oid),
            ('event trigger lakeport_refuse_ddl', 'pg_event_trigger',
                (select oid from pg_event_trigger where evtname = 'lakeport_refuse_ddl')),
            ('event trigger lakeport_refuse_drop', 'pg_event_trigger',
                (select oid from pg_event_trigger where evtname = 'lakeport_refuse_drop'))
        ) as g (name, class, id)
        where not exists (select from pg_depend d
                          where d.classid = g.class and d.objid = g.id and d.deptype = 'e')
    loop
        execute 'alter extension plpgsql add ' || guard.name;
    end loop;
    update pg_trigger set tgisinternal = true
    where tgfoid = 'lakeport_guard.refuse_write()'::regprocedure and not tgisinternal;
end $guard$;";

fn guards() -> String {
    format!(
        r"
do $guard$ begin
    if not exists (select from pg_namespace where nspname = 'lakeport_guard') then
        create schema lakeport_guard;
    end if;
    if exists (select from pg_namespace where nspname = 'lakeport_guard'
               and pg_get_userbyid(nspowner) <> '{ADMIN_ROLE}') then
        raise exception 'the schema lakeport_guard belongs to someone else: rename or drop it, it is needed to guard synced tables';
    end if;
end $guard$;

revoke all on schema lakeport_guard from public;
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

-- Whether a relation is guarded: known by the function, because a trigger can be renamed.
create or replace function lakeport_guard.is_guarded(relation oid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $guard$
    select exists (
        select from pg_trigger t
        where t.tgrelid = relation and t.tgfoid = 'lakeport_guard.refuse_write()'::regprocedure)
$guard$;

create or replace function lakeport_guard.refuse_ddl() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $guard$
declare command record;
begin
    if current_user = '{WRITER_ROLE}'
       or (select rolsuper from pg_roles where rolname = current_user) then
        return;
    end if;
    for command in
        select c.command_tag, c.object_identity, c.classid, c.objid
        from pg_event_trigger_ddl_commands() c
    loop
        if command.command_tag in ('COMMENT', 'GRANT', 'REVOKE', 'CREATE INDEX') then
            continue;
        end if;
        if (command.classid = 'pg_class'::regclass
                and (lakeport_guard.is_guarded(command.objid)
                     or exists (select from pg_inherits i where i.inhrelid = command.objid
                                and lakeport_guard.is_guarded(i.inhparent))))
            or (command.classid = 'pg_trigger'::regclass
                and exists (select from pg_trigger t where t.oid = command.objid
                            and lakeport_guard.is_guarded(t.tgrelid)))
            or (command.classid = 'pg_rewrite'::regclass
                and exists (select from pg_rewrite r where r.oid = command.objid
                            and lakeport_guard.is_guarded(r.ev_class)))
            or (command.classid = 'pg_policy'::regclass
                and exists (select from pg_policy p where p.oid = command.objid
                            and lakeport_guard.is_guarded(p.polrelid)))
        then
            raise exception '% belongs to a synced table, of which only indexes and comments can be changed',
                command.object_identity using errcode = 'read_only_sql_transaction';
        end if;
    end loop;
end $guard$;

-- The guard's name is known to be its own here: renaming it is refused.
create or replace function lakeport_guard.refuse_drop() returns event_trigger
language plpgsql set search_path = pg_catalog, pg_temp as $guard$
begin
    if current_user <> '{WRITER_ROLE}'
       and not (select rolsuper from pg_roles where rolname = current_user)
       and exists (
           select from pg_event_trigger_dropped_objects() o
           where o.object_type = 'trigger' and o.original
             and o.address_names[cardinality(o.address_names)] = '{TRIGGER}')
    then
        raise exception 'the guard of a synced table cannot be dropped'
            using errcode = 'read_only_sql_transaction';
    end if;
end $guard$;

do $guard$ begin
    if not exists (select from pg_event_trigger where evtname = 'lakeport_refuse_ddl') then
        create event trigger lakeport_refuse_ddl on ddl_command_end
            execute function lakeport_guard.refuse_ddl();
    end if;
    if not exists (select from pg_event_trigger where evtname = 'lakeport_refuse_drop') then
        create event trigger lakeport_refuse_drop on sql_drop
            when tag in ('DROP TRIGGER')
            execute function lakeport_guard.refuse_drop();
    end if;
end $guard$;"
    )
}

/// ALWAYS: so that no setting of a session switches it off. An internal trigger cannot be replaced, so that
/// it is not one meanwhile.
fn attach(table: &str) -> String {
    let literal = quote_literal(table);
    format!(
        "update pg_catalog.pg_trigger set tgisinternal = false
         where tgrelid = {literal}::pg_catalog.regclass and tgname = '{TRIGGER}';
         create or replace trigger {TRIGGER}
             before insert or update or delete or truncate on {table}
             for each statement execute function lakeport_guard.refuse_write();
         alter table {table} enable always trigger {TRIGGER};"
    )
}

/// Where our sync engine keeps what it has applied: as precious as the rows. Those of a person who runs syncs of their
/// own are that person's.
fn attach_to_positions() -> String {
    format!(
        r"
do $guard$ declare positions text;
begin
    for positions in
        select format('%I.%I', schemaname, tablename) from pg_tables
        where tablename = 'positions' and tableowner = '{WRITER_ROLE}'
          and schemaname ~ '^lakeport_sync(_[0-9]+)?$'
    loop
        execute format($sql${}$sql$, positions);
    end loop;
end $guard$;",
        attach("%1$s")
    )
}

/// A table that is no longer synced is its owner's to change.
pub(crate) fn release_sql(table: &QualifiedName) -> String {
    format!("drop trigger if exists {TRIGGER} on {table};")
}
