//! The PostgreSQL side of a synced table around its runs: schema, the writer's rights, readers' rights.

use lakeport_engine::{ClusterId, WRITER_ROLE};
use lakeport_pg::{QualifiedName, QuotedIdent, Session, quote_literal};
use lakeport_store::{Instance, SyncedTable};

use crate::{Control, Error, Result, read_only};

impl Control {
    /// The writer may create its tables in the target schema, which is made if it is missing.
    pub(crate) async fn prepare_target(
        &self,
        instance: &Instance,
        table: &SyncedTable,
        create: bool,
    ) -> Result<()> {
        self.ensure_database(instance, &table.database_name, create).await?;
        let session = self.admin_session(instance, &table.database_name).await?;
        let schema =
            QuotedIdent::new(&table.schema_name).map_err(|error| Error::invalid("name", error))?;
        let database = QuotedIdent::new(&table.database_name)
            .map_err(|error| Error::invalid("logical_database_name", error))?;
        let owner = owner_of(&session, instance, table).await?;
        let make = if create {
            format!("create schema if not exists {schema} authorization {owner};")
        } else {
            String::new()
        };
        session
            .batch_execute(&format!(
                "{make}
                 grant usage, create on schema {schema} to {WRITER_ROLE};
                 grant connect, create on database {database} to {WRITER_ROLE};"
            ))
            .await
            .map_err(|error| {
                Error::precondition(format!(
                    "schema \"{}\" cannot be prepared: {}",
                    table.schema_name,
                    lakeport_pg::describe(&error)
                ))
            })
    }

    /// The creator reads the table and may pass that on; nobody but the writer writes it.
    pub(crate) async fn publish_target(
        &self,
        instance: &Instance,
        table: &SyncedTable,
    ) -> Result<()> {
        let session = self.admin_session(instance, &table.database_name).await?;
        let name = qualified(table)?;
        let reader =
            QuotedIdent::new(&table.creator).map_err(|error| Error::invalid("creator", error))?;
        let schema = &name.schema;
        let literal = quote_literal(&table.creator);
        let guarded = instance.pg_version >= read_only::SINCE_MAJOR;
        let protect = if guarded { read_only::protect_sql(&name) } else { String::new() };
        session
            .batch_execute(&format!(
                "do $lakeport_grant$ begin
                     if exists (select from pg_catalog.pg_roles where rolname = {literal}) then
                         grant usage on schema {schema} to {reader};
                         grant select on {name} to {reader} with grant option;
                     end if;
                 end $lakeport_grant$;
                 {protect}"
            ))
            .await
            .map_err(|error| {
                Error::internal("publishing a synced table", lakeport_pg::describe(&error))
            })
    }

    /// A table that is kept when its sync ends becomes its creator's.
    pub(crate) async fn hand_over(&self, instance: &Instance, table: &SyncedTable) -> Result<()> {
        let session = self.admin_session(instance, &table.database_name).await?;
        let name = qualified(table)?;
        let owner = owner_of(&session, instance, table).await?;
        let (schema, relation) =
            (quote_literal(&table.schema_name), quote_literal(&table.table_name));
        let release = read_only::release_sql(&name);
        // Only what the writer has made: the name may meanwhile be someone else's table.
        session
            .batch_execute(&format!(
                "do $lakeport_hand_over$ begin
                     if exists (select from pg_catalog.pg_tables
                                where schemaname = {schema} and tablename = {relation}
                                  and tableowner = '{WRITER_ROLE}') then
                         {release}
                         alter table {name} owner to {owner};
                     end if;
                 end $lakeport_hand_over$"
            ))
            .await
            .map_err(|error| Error::internal("handing over a table", lakeport_pg::describe(&error)))
    }

    /// How the sync engine logs in: as the owner of synced tables, never as a superuser.
    pub(crate) fn writer(&self, instance: &Instance, database: &str) -> tokio_postgres::Config {
        self.engine.connection(&ClusterId::from(instance.uid), WRITER_ROLE, database)
    }
}

/// The creator of a synced table, or the instance's where that one has no role in PostgreSQL.
async fn owner_of(
    session: &Session,
    instance: &Instance,
    table: &SyncedTable,
) -> Result<QuotedIdent> {
    let found = session
        .query_opt("select from pg_catalog.pg_roles where rolname = $1", &[&table.creator])
        .await
        .map_err(|error| Error::internal("looking for a role", lakeport_pg::describe(&error)))?;
    let name = if found.is_some() { &table.creator } else { &instance.creator };
    QuotedIdent::new(name).map_err(|error| Error::invalid("creator", error))
}

fn qualified(table: &SyncedTable) -> Result<QualifiedName> {
    QualifiedName::new(&table.schema_name, &table.table_name)
        .map_err(|error| Error::invalid("name", error))
}
