//! The PostgreSQL side of a synced table around its runs: schema, the writer's rights, readers' rights.

use lakeport_catalog::TableName;
use lakeport_engine::{ClusterId, MAINTENANCE_DATABASE, TABLE_OWNER_ROLE, WRITER_ROLE};
use lakeport_pg::{QualifiedName, QuotedIdent, Session};
use lakeport_store::{Instance, SyncedTable};
use tokio_postgres::error::SqlState;

use crate::synced_table_spec::stored_spec;
use crate::{Control, Error, Result, read_only};

/// Databases and schemas that belong to PostgreSQL or to us: nothing of a user's goes there.
pub(crate) fn check_place(database: &str, schema: &str) -> Result<()> {
    let databases = ["template0", "template1", MAINTENANCE_DATABASE];
    if databases.contains(&database) {
        return Err(Error::invalid(
            "logical_database_name",
            format!("\"{database}\" is the system's own; choose another database"),
        ));
    }
    let reserved = ["pg_", "lakeport_"].iter().any(|prefix| schema.starts_with(prefix));
    if reserved || schema == "information_schema" {
        return Err(Error::invalid(
            "name",
            format!("the schema \"{schema}\" is the system's own; choose another one"),
        ));
    }
    Ok(())
}

impl Control {
    /// The writer may create its tables in the target schema, which is made if it is missing. Gives whether
    /// there was anything to do.
    pub(crate) async fn prepare_target(
        &self,
        instance: &Instance,
        table: &SyncedTable,
    ) -> Result<bool> {
        let create = stored_spec(&table.request)?.create_database_objects_if_missing;
        let create = create.unwrap_or_default();
        check_place(&table.database_name, &table.schema_name)?;
        let session = self.session_of(instance, table, create).await?;
        if table.applied.is_none() {
            self.take_back(&session, instance, table).await?;
        }
        if is_prepared(&session, &table.schema_name).await? {
            return Ok(false);
        }
        let schema =
            QuotedIdent::new(&table.schema_name).map_err(|error| Error::invalid("name", error))?;
        let database = QuotedIdent::new(&table.database_name)
            .map_err(|error| Error::invalid("logical_database_name", error))?;
        let owner = self.reader(&session, instance, &table.creator).await?;
        session
            .batch_execute(&format!(
                "{ONE_AT_A_TIME}
                 create schema if not exists {schema} authorization {owner};
                 grant usage, create on schema {schema} to {WRITER_ROLE}, {TABLE_OWNER_ROLE};
                 grant connect, create on database {database} to {WRITER_ROLE};"
            ))
            .await
            .map_err(refused("preparing the schema of a synced table"))?;
        Ok(true)
    }

    /// In the table's database, which is made if it is missing. Of a table that was applied it is there, most likely.
    async fn session_of(
        &self,
        instance: &Instance,
        table: &SyncedTable,
        create: bool,
    ) -> Result<Session> {
        let database = &table.database_name;
        if table.applied.is_some()
            && let Ok(session) = self.admin_session(instance, database).await
        {
            return Ok(session);
        }
        self.ensure_database(instance, database, create).await?;
        self.admin_session(instance, database).await
    }

    /// The creator reads the table and may pass that on; nobody but the writer writes it. A table that
    /// was published before is left alone: every statement would wait for its readers.
    pub(crate) async fn publish_target(
        &self,
        instance: &Instance,
        table: &SyncedTable,
    ) -> Result<()> {
        let session = self.admin_session(instance, &table.database_name).await?;
        let name = qualified(table)?;
        if is_published(&session, table).await? {
            return Ok(());
        }
        let reader = self.reader(&session, instance, &table.creator).await?;
        let schema = &name.schema;
        let protect = read_only::protect_sql(&name);
        session
            .batch_execute(&format!(
                "begin;
                 {ONE_AT_A_TIME}
                 grant usage on schema {schema} to {reader};
                 grant select on {name} to {reader} with grant option;
                 {protect}
                 alter table {name} owner to {TABLE_OWNER_ROLE};
                 commit;"
            ))
            .await
            .map_err(refused("publishing a synced table"))
    }

    /// Keeps guards that an earlier version has made out of the dumps of an instance's owner. A database that
    /// does not answer is left for the next start: nothing but a dump depends on it.
    pub(crate) async fn hide_guards(&self, instance: &Instance) -> Result<()> {
        for database in self.store.synced_databases(instance.uid).await? {
            if let Err(error) = self.hide_guards_of(instance, &database).await {
                tracing::warn!(
                    instance.name,
                    database,
                    error = error.message(),
                    "the guards of synced tables are still in dumps"
                );
            }
        }
        Ok(())
    }

    async fn hide_guards_of(&self, instance: &Instance, database: &str) -> Result<()> {
        let session = self.admin_session(instance, database).await?;
        let seen = session.query_one(read_only::IN_DUMPS, &[]).await;
        if !seen.map_err(refused("looking at the guards of synced tables"))?.get::<_, bool>(0) {
            return Ok(());
        }
        let hide = read_only::hide_sql();
        session
            .batch_execute(&format!("begin; {ONE_AT_A_TIME} {hide} commit;"))
            .await
            .map_err(refused("keeping the guards of synced tables out of dumps"))
    }

    /// The synced table's creator, or, where it has no role, the instance's.
    async fn reader(
        &self,
        session: &Session,
        instance: &Instance,
        creator: &str,
    ) -> Result<QuotedIdent> {
        let role = self.reader_name(session, instance, creator).await?;
        QuotedIdent::new(&role).map_err(|error| Error::invalid("creator", error))
    }

    async fn reader_name(
        &self,
        session: &Session,
        instance: &Instance,
        creator: &str,
    ) -> Result<String> {
        let sql = "select from pg_catalog.pg_roles where rolname = $1";
        let found = session.query_opt(sql, &[&creator]).await;
        let found = found.map_err(refused("looking for a role"))?;
        Ok(if found.is_some() { creator.to_owned() } else { instance.creator.clone() })
    }

    /// Whether the relation is a table that a sync which has ended left to somebody whose rights the creator of a
    /// new one has.
    pub(crate) async fn is_left_to(
        &self,
        session: &Session,
        instance: &Instance,
        creator: &str,
        database: &str,
        name: &TableName,
    ) -> Result<bool> {
        let role = self.reader_name(session, instance, creator).await?;
        let row = session
            .query_opt(
                "select pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE')
                   and exists (select from pg_catalog.pg_tables
                               where tablename = 'positions' and tableowner = $4)
                 from pg_catalog.pg_class c
                 join pg_catalog.pg_namespace n on n.oid = c.relnamespace,
                      pg_catalog.pg_roles r
                 where n.nspname = $1 and c.relname = $2 and r.rolname = $3",
                &[&name.schema, &name.table, &role, &WRITER_ROLE],
            )
            .await
            .map_err(refused("looking at the owner of a table"))?;
        if !row.is_some_and(|row| row.get(0)) {
            return Ok(false);
        }
        let writer = self.writer(instance, database);
        let left = self.runner.is_left(writer, &name.schema, &name.table).await;
        left.map_err(|error| Error::unavailable(error.message))
    }

    /// What an earlier sync has left under the name of a new synced table becomes the writer's again, who replaces it.
    async fn take_back(
        &self,
        session: &Session,
        instance: &Instance,
        table: &SyncedTable,
    ) -> Result<()> {
        let found = session
            .query_opt(
                "select from pg_catalog.pg_tables
                 where schemaname = $1 and tablename = $2 and tableowner <> $3",
                &[&table.schema_name, &table.table_name, &WRITER_ROLE],
            )
            .await
            .map_err(refused("looking at a table"))?;
        let place = TableName {
            catalog: String::new(),
            schema: table.schema_name.clone(),
            table: table.table_name.clone(),
        };
        let (creator, database) = (&table.creator, &table.database_name);
        if found.is_none() || !self.is_left_to(session, instance, creator, database, &place).await?
        {
            return Ok(());
        }
        session
            .batch_execute(&format!("alter table {} owner to {WRITER_ROLE}", qualified(table)?))
            .await
            .map_err(refused("taking back a table"))
    }

    /// A table that is kept when its sync ends becomes its creator's.
    pub(crate) async fn hand_over(&self, instance: &Instance, table: &SyncedTable) -> Result<()> {
        let session = self.admin_session(instance, &table.database_name).await?;
        let name = qualified(table)?;
        // Only what a sync has made: the name may meanwhile be someone else's table.
        let ours = session
            .query_opt(
                "select from pg_catalog.pg_tables
                 where schemaname = $1 and tablename = $2 and tableowner = any ($3)",
                &[&table.schema_name, &table.table_name, &&[TABLE_OWNER_ROLE, WRITER_ROLE][..]],
            )
            .await
            .map_err(refused("looking at a table"))?;
        if ours.is_none() {
            return Ok(());
        }
        let owner = self.reader(&session, instance, &table.creator).await?;
        let release = read_only::release_sql(&name);
        session
            .batch_execute(&format!(
                "begin; {release} alter table {name} owner to {owner}; commit;"
            ))
            .await
            .map_err(refused("handing over a table"))
    }

    /// How the sync engine logs in: as the owner of synced tables, never as a superuser.
    pub(crate) fn writer(&self, instance: &Instance, database: &str) -> tokio_postgres::Config {
        self.engine.connection(&ClusterId::from(instance.uid), WRITER_ROLE, database)
    }
}

/// Two tables of one database that are made at once would grant on the same schema and make the same guards,
/// which PostgreSQL refuses to the later one. Nobody keeps us waiting for long by holding the lock.
const ONE_AT_A_TIME: &str = "set local lock_timeout = '10s';
     select pg_catalog.pg_advisory_xact_lock(7809641312259371636);";

/// Whether the table is there and belongs to the owner of published ones.
async fn is_published(session: &Session, table: &SyncedTable) -> Result<bool> {
    let owned = session
        .query_opt(
            "select from pg_catalog.pg_tables
             where schemaname = $1 and tablename = $2 and tableowner = $3",
            &[&table.schema_name, &table.table_name, &TABLE_OWNER_ROLE],
        )
        .await
        .map_err(refused("looking at a synced table"))?;
    Ok(owned.is_some())
}

/// Whether the schema is there and the writer has what it needs: then nothing is written.
async fn is_prepared(session: &Session, schema: &str) -> Result<bool> {
    let row = session
        .query_opt(
            "select bool_and(pg_catalog.has_schema_privilege(r, n.oid, 'USAGE')
                         and pg_catalog.has_schema_privilege(r, n.oid, 'CREATE'))
                    and pg_catalog.has_database_privilege($2, pg_catalog.current_database(), 'CONNECT')
                    and pg_catalog.has_database_privilege($2, pg_catalog.current_database(), 'CREATE')
             from pg_catalog.pg_namespace n, pg_catalog.unnest($3::text[]) r
             where n.nspname = $1 group by n.oid",
            &[&schema, &WRITER_ROLE, &&[WRITER_ROLE, TABLE_OWNER_ROLE][..]],
        )
        .await
        .map_err(refused("looking at the schema of a synced table"))?;
    Ok(row.is_some_and(|row| row.get(0)))
}

/// What PostgreSQL has against it is the owner's to mend, unless it only takes time.
pub(crate) fn refused(operation: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Error {
    move |error| {
        let message = format!("{operation}: {}", lakeport_pg::describe(&error));
        match error.code() {
            Some(code) if !is_passing(code) => Error::precondition(message),
            _ => Error::unavailable(message),
        }
    }
}

/// A lock that is held, a server that stops or starts, a connection that broke or was not to be had.
fn is_passing(code: &SqlState) -> bool {
    const CLASSES: &[&str] = &["08", "40", "53", "57"];
    *code == SqlState::LOCK_NOT_AVAILABLE
        || CLASSES.iter().any(|class| code.code().starts_with(class))
}

fn qualified(table: &SyncedTable) -> Result<QualifiedName> {
    QualifiedName::new(&table.schema_name, &table.table_name)
        .map_err(|error| Error::invalid("name", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_stops_is_no_fault_of_the_table() {
        for code in ["55P03", "57P01", "57P03", "08006", "53300", "40001"] {
            assert!(is_passing(&SqlState::from_code(code)), "{code}");
        }
        for code in ["42501", "42P01", "P0001", "3F000"] {
            assert!(!is_passing(&SqlState::from_code(code)), "{code}");
        }
    }

    #[test]
    fn places_of_the_system_are_refused() {
        for (database, schema) in
            [("template1", "s"), ("lakeport", "s"), ("d", "pg_catalog"), ("d", "lakeport_guard")]
        {
            assert!(check_place(database, schema).is_err(), "{database} {schema}");
        }
        assert!(check_place("postgres", "public").is_ok());
    }
}
