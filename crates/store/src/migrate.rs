//! Forward-only migrations: numbered files, each applied once, in one transaction, under one lock.

use aws_lc_rs::digest::{SHA256, digest};

use crate::{Error, Result, SCHEMA, connection::Connection};

/// Never edit one that has been released: the checksum of what was applied is compared.
const MIGRATIONS: &[(i32, &str)] = &[
    (1, include_str!("../migrations/0001_metadata.sql")),
    (2, include_str!("../migrations/0002_sync_modes.sql")),
    (3, include_str!("../migrations/0003_identities.sql")),
    (4, include_str!("../migrations/0004_permissions.sql")),
    (5, include_str!("../migrations/0005_apps.sql")),
    (6, include_str!("../migrations/0006_pipelines.sql")),
    (7, include_str!("../migrations/0007_unity.sql")),
    (8, include_str!("../migrations/0008_federation.sql")),
    (9, include_str!("../migrations/0009_reader_roles.sql")),
    (10, include_str!("../migrations/0010_resources_of_grants.sql")),
    (11, include_str!("../migrations/0011_ends_of_policies.sql")),
    (12, include_str!("../migrations/0012_fields_that_clients_set.sql")),
    (13, include_str!("../migrations/0013_first_answers.sql")),
    (14, include_str!("../migrations/0014_reader_revisions.sql")),
];

/// Key of the advisory lock that keeps two servers from migrating at once.
const LOCK: i64 = 0x6c61_6b65_706f_7274;

pub(crate) async fn run(client: &mut Connection) -> Result<()> {
    let transaction = client.transaction().await?;
    transaction.execute("select pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    transaction
        .batch_execute(&format!(
            "create schema if not exists {SCHEMA};
             create table if not exists {SCHEMA}.migrations (
                 version integer primary key,
                 checksum bytea not null,
                 applied_at timestamptz not null default now())"
        ))
        .await?;
    let applied = transaction.query("select version, checksum from migrations", &[]).await?;
    for row in &applied {
        check_applied(row.get(0), row.get(1))?;
    }
    for (version, sql) in MIGRATIONS {
        if applied.iter().any(|row| row.get::<_, i32>(0) == *version) {
            continue;
        }
        transaction.batch_execute(sql).await?;
        transaction
            .execute(
                "insert into migrations (version, checksum) values ($1, $2)",
                &[version, &checksum(sql)],
            )
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn check_applied(version: i32, applied: &[u8]) -> Result<()> {
    let Some((_, sql)) = MIGRATIONS.iter().find(|(known, _)| *known == version) else {
        return Err(Error::Schema(format!(
            "the metadata database has migration {version}, which this lakeport does not know: \
             it was used by a newer version; run that one"
        )));
    };
    if applied != checksum(sql).as_slice() {
        return Err(Error::Schema(format!(
            "migration {version} of the metadata database differs from this program's: it was \
             made by another build; use the program that made it"
        )));
    }
    Ok(())
}

fn checksum(sql: &str) -> Vec<u8> {
    digest(&SHA256, sql.as_bytes()).as_ref().to_vec()
}
