//! Positions: which source version each synced table holds, kept in the same database.
//!
//! Owns: the schema of the role that syncs and its table `positions`. A position is written in the transaction that
//! writes the rows, and nowhere else: that is what makes a sync exactly-once. Roles that sync into one database have
//! a schema each: whoever owns a table decides what its triggers do with the rights of those who write it.

use lakeport_pg::{QualifiedName, QuotedIdent};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient, Transaction};

use crate::error::Error;
use crate::job::TableName;
use crate::source::READER_REVISION;

/// The first role's schema; those of others have a number at the end.
const SCHEMA: &str = "lakeport_sync";

/// Any number: it only has to be the same in every run.
const ENSURE_LOCK: i64 = 0x6c61_6b65_706f_7274;

/// What later builds have added to the table.
const ADDED: [(&str, &str); 4] = [
    ("reader_revision", "integer"),
    ("column_names", "text[]"),
    ("physical_names", "text[]"),
    ("left_as", "oid"),
];

/// What a synced table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The id in the Delta table's metadata.
    pub source_table_id: String,
    pub version: i64,
    pub commit_timestamp_ms: Option<i64>,
    pub synced_at_ms: i64,
    pub rows: u64,
    /// Of the reader that has read all rows, or found that older ones have read them well.
    pub(crate) reader_revision: i32,
    /// The source's columns when all rows were read last, by their names in the table and in the files. Empty if an
    /// older build has read them.
    pub(crate) columns: Vec<(String, String)>,
    /// The table that stayed when its sync ended.
    pub(crate) left_as: Option<u32>,
}

/// The position that a transaction is about to reach.
pub(crate) struct NewPosition {
    pub(crate) source_table_id: String,
    pub(crate) version: i64,
    pub(crate) commit_timestamp_ms: Option<i64>,
    /// All rows were read, rather than changes.
    pub(crate) is_whole: bool,
    /// By their names in the table and in the files; absent where they are known already.
    pub(crate) columns: Option<Vec<(String, String)>>,
}

/// What is found under a table's name.
pub(crate) enum State {
    Absent,
    /// `owned` by the role that looks.
    Synced {
        position: Position,
        owned: bool,
    },
    /// What stayed when a sync of ours ended.
    Left {
        owned: bool,
    },
    /// Something that no sync of ours has made.
    Foreign {
        owner: String,
        owned: bool,
    },
}

/// Where the positions of a role are.
#[derive(Clone)]
pub(crate) struct Positions {
    schema: QuotedIdent,
    table: QualifiedName,
}

impl Positions {
    /// Where they would be if nobody else had any.
    pub(crate) fn usual() -> Result<Self, Error> {
        Self::of(SCHEMA)
    }

    fn of(schema: &str) -> Result<Self, Error> {
        let failed = |error| Error::config(format!("cannot name the schema {schema}: {error}"));
        let table = QualifiedName::new(schema, "positions").map_err(failed)?;
        Ok(Self { schema: QuotedIdent::new(schema).map_err(failed)?, table })
    }

    /// A name beside them.
    pub(crate) fn beside(&self, name: &str) -> Result<QualifiedName, Error> {
        let name = QuotedIdent::new(name)
            .map_err(|error| Error::config(format!("cannot name {name}: {error}")))?;
        Ok(QualifiedName { schema: self.schema.clone(), name })
    }

    /// Those that this role may trust, if there are any.
    pub(crate) async fn find(
        client: &impl GenericClient,
        table: &TableName,
    ) -> Result<Option<Self>, Error> {
        let failed = || Error::target("read the position of", table);
        let row = client
            .query_opt(
                "select n.nspname::text, \
                   (select count(*) from pg_attribute a where a.attrelid = c.oid \
                    and not a.attisdropped and a.attname = any ($1)) \
                 from pg_class c join pg_namespace n on n.oid = c.relnamespace \
                 where c.relname = 'positions' and c.relkind = 'r' \
                   and n.nspname ~ '^lakeport_sync(_[0-9]+)?$' \
                   and pg_has_role(current_user, c.relowner, 'member') \
                 order by pg_get_userbyid(c.relowner) = current_user desc, n.nspname limit 1",
                &[&ADDED.map(|(name, _)| name).as_slice()],
            )
            .await
            .map_err(failed())?;
        let Some(row) = row else { return Ok(None) };
        let found = Self::of(row.get(0))?;
        if row.get::<_, i64>(1) < ADDED.len() as i64 {
            let add = ADDED.map(|(name, kind)| format!("add column if not exists {name} {kind}"));
            let alter = format!("alter table {} {}", found.table, add.join(", "));
            client.batch_execute(&alter).await.map_err(failed())?;
        }
        Ok(Some(found))
    }

    /// Those that are there, or new ones.
    pub(crate) async fn ensure(client: &mut Client, table: &TableName) -> Result<Self, Error> {
        let failed = || Error::target("make the schema of positions for", table);
        let transaction = client.transaction().await.map_err(failed())?;
        // Two first runs at once would both try, and `if not exists` does not save the second.
        let lock = "select pg_advisory_xact_lock($1)";
        transaction.execute(lock, &[&ENSURE_LOCK]).await.map_err(failed())?;
        if let Some(found) = Self::find(&transaction, table).await? {
            transaction.commit().await.map_err(failed())?;
            return Ok(found);
        }
        let free = transaction
            .query_one(
                "select name from (select 1 as place, $1::text as name \
                   union all select i, $1::text || '_' || i from generate_series(2, 1000) i) names \
                 where not exists (select from pg_namespace where nspname = name) \
                 order by place limit 1",
                &[&SCHEMA],
            )
            .await
            .map_err(failed())?;
        let new = Self::of(free.get(0))?;
        let added = ADDED.map(|(name, kind)| format!("{name} {kind}")).join(", ");
        let make = format!(
            "create schema {}; \
             create table {} ( \
               schema_name text not null, \
               table_name text not null, \
               source_table_id text not null, \
               version bigint not null, \
               commit_timestamp timestamp with time zone, \
               synced_at timestamp with time zone not null, \
               row_count bigint not null, \
               {added}, \
               primary key (schema_name, table_name))",
            new.schema, new.table
        );
        transaction.batch_execute(&make).await.map_err(failed())?;
        transaction.commit().await.map_err(failed())?;
        Ok(new)
    }

    pub(crate) async fn read(
        &self,
        client: &impl GenericClient,
        table: &TableName,
    ) -> Result<Option<Position>, Error> {
        let query = format!(
            "select source_table_id, version, \
             (extract(epoch from commit_timestamp) * 1000)::bigint, \
             (extract(epoch from synced_at) * 1000)::bigint, row_count, \
             coalesce(reader_revision, 0), column_names, physical_names, left_as \
             from {} where schema_name = $1 and table_name = $2",
            self.table
        );
        let row = client
            .query_opt(&query, &[&table.schema, &table.table])
            .await
            .map_err(Error::target("read the position of", table))?;
        let names = |names: Option<Vec<String>>| names.unwrap_or_default();
        Ok(row.map(|row| Position {
            source_table_id: row.get(0),
            version: row.get(1),
            commit_timestamp_ms: row.get(2),
            synced_at_ms: row.get(3),
            rows: u64::try_from(row.get::<_, i64>(4)).unwrap_or_default(),
            reader_revision: row.get(5),
            columns: names(row.get(6)).into_iter().zip(names(row.get(7))).collect(),
            left_as: row.get(8),
        }))
    }

    pub(crate) async fn write(
        &self,
        transaction: &Transaction<'_>,
        table: &TableName,
        position: &NewPosition,
        rows: u64,
    ) -> Result<(), Error> {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let names = position.columns.as_ref().map(|columns| {
            let pairs = columns.iter().map(|(name, file)| (name.as_str(), file.as_str()));
            pairs.unzip::<_, _, Vec<&str>, Vec<&str>>()
        });
        let (names, physical) = names.unzip();
        let write = format!(
            "insert into {} as p \
             (schema_name, table_name, source_table_id, version, commit_timestamp, synced_at, \
              row_count, reader_revision, column_names, physical_names) \
             values ($1, $2, $3, $4, to_timestamp($5::bigint / 1000.0), clock_timestamp(), $6, \
              {READER_REVISION}, $7, $8) \
             on conflict (schema_name, table_name) do update set \
               source_table_id = excluded.source_table_id, version = excluded.version, \
               commit_timestamp = excluded.commit_timestamp, synced_at = excluded.synced_at, \
               row_count = excluded.row_count, \
               reader_revision = case when $9 then excluded.reader_revision else p.reader_revision end, \
               column_names = coalesce(excluded.column_names, p.column_names), \
               physical_names = coalesce(excluded.physical_names, p.physical_names), \
               left_as = null",
            self.table
        );
        transaction
            .execute(
                &write,
                &[
                    &table.schema,
                    &table.table,
                    &position.source_table_id,
                    &position.version,
                    &position.commit_timestamp_ms,
                    &rows,
                    &names,
                    &physical,
                    &position.is_whole,
                ],
            )
            .await
            .map(|_| ())
            .map_err(Error::target("write the position of", table))
    }

    /// What older readers have loaded of the table is as this one would have loaded it.
    pub(crate) async fn confirm_reader(
        &self,
        client: &Client,
        table: &TableName,
    ) -> Result<(), Error> {
        let set = format!("reader_revision = {READER_REVISION}");
        self.change(client, table, &format!("update {} set {set}", self.table)).await
    }

    /// The sync has ended, and the table that it has made stays.
    pub(crate) async fn leave(&self, client: &Client, table: &TableName) -> Result<(), Error> {
        let set = "left_as = (select c.oid from pg_class c \
                   join pg_namespace n on n.oid = c.relnamespace \
                   where n.nspname = schema_name and c.relname = table_name)";
        self.change(client, table, &format!("update {} set {set}", self.table)).await
    }

    pub(crate) async fn delete(
        &self,
        client: &impl GenericClient,
        table: &TableName,
    ) -> Result<(), Error> {
        self.change(client, table, &format!("delete from {}", self.table)).await
    }

    async fn change(
        &self,
        client: &impl GenericClient,
        table: &TableName,
        statement: &str,
    ) -> Result<(), Error> {
        let statement = format!("{statement} where schema_name = $1 and table_name = $2");
        client
            .execute(&statement, &[&table.schema, &table.table])
            .await
            .map(|_| ())
            .map_err(Error::target("change the position of", table))
    }
}

/// Without positions, there is no synced table.
pub(crate) async fn state(
    client: &Client,
    table: &TableName,
    positions: Option<&Positions>,
) -> Result<State, Error> {
    let found = client
        .query_opt(
            "select c.relkind = 'r', pg_get_userbyid(c.relowner) = current_user, c.oid, \
               pg_get_userbyid(c.relowner)::text \
             from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = $1 and c.relname = $2",
            &[&table.schema, &table.table],
        )
        .await
        .map_err(Error::target("look at", table))?;
    let Some(row) = found else { return Ok(State::Absent) };
    let (is_table, owned, oid): (bool, bool, u32) = (row.get(0), row.get(1), row.get(2));
    let position = match positions {
        Some(positions) if is_table => positions.read(client, table).await?,
        _ => None,
    };
    Ok(match position {
        Some(position) if position.left_as.is_none() => State::Synced { position, owned },
        Some(position) if position.left_as == Some(oid) => State::Left { owned },
        _ => State::Foreign { owner: row.get(3), owned },
    })
}

impl Error {
    /// It names whose the table is, and never advises to drop what another sync needs.
    pub(crate) fn foreign(
        operation: &'static str,
        table: &TableName,
        owner: &str,
        owned: bool,
    ) -> Self {
        let way_out = match owned {
            true => "choose another name, or rename it, or drop it if nobody needs it",
            false => "choose another name",
        };
        let message = format!(
            "it exists, belongs to the role \"{owner}\", and no sync of this role has made it; \
             {way_out}"
        );
        Self::refused(operation, table, &SqlState::DUPLICATE_TABLE, message)
    }
}
