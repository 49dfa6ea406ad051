//! `manage_lakebase_sync`: synced tables, with the arguments and results of the reference tool.
//!
//! Owns: creating and deleting, and saying truly what an existing one is. Never: a half-made sync; a
//! catalog that was registered for a table that is then refused is unregistered again.

use lakeport_api::{DatabaseCatalog, SyncedDatabaseTable, SyncedTableSpec};
use lakeport_client::Client;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::synced_table::{SyncedTable, describe, find, is_busy, state_name, three_parts};
use super::{Hints, Poll, Tool, WaitSeconds, database, database_or_default, must_manage, required};
use crate::Access;
use crate::call::{Call, Result};
use crate::confirm::{Confirmation, Plan, Verdict, confirm};
use crate::failure::{Failure, code};

pub(super) struct ManageSync;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// What to do
    action: Action,
    /// Instance that the table is synced into
    instance_name: Option<String>,
    /// Delta table to read, as catalog.schema.table
    source_table_name: Option<String>,
    /// Synced table to make, as catalog.schema.table; schema and table are those of PostgreSQL
    target_table_name: Option<String>,
    /// Catalog that shows the database; by default the first part of target_table_name. For delete: also
    /// unregister this catalog
    catalog_name: Option<String>,
    /// Database of the instance, used when the catalog has to be registered; databricks_postgres by default
    database_name: Option<String>,
    /// Columns of the key, unique and never null
    primary_key_columns: Option<Vec<String>>,
    /// SNAPSHOT copies all rows at each run; TRIGGERED applies changes at each run; CONTINUOUS follows.
    /// TRIGGERED by default
    scheduling_policy: Option<Policy>,
    /// For delete: the synced table
    table_name: Option<String>,
    /// For delete: drop the table in PostgreSQL too; by default it stays
    purge_data: Option<bool>,
    /// For how long to wait until the first rows are there, or the table is gone; without it the call
    /// returns at once
    wait_seconds: Option<WaitSeconds>,
    /// From the answer to the same call without it
    confirm_token: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    CreateOrUpdate,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Policy {
    Triggered,
    Snapshot,
    Continuous,
}

impl Policy {
    fn name(self) -> &'static str {
        match self {
            Self::Triggered => "TRIGGERED",
            Self::Snapshot => "SNAPSHOT",
            Self::Continuous => "CONTINUOUS",
        }
    }
}

#[derive(Default, Serialize, JsonSchema)]
pub(super) struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    catalog: Option<Catalog>,
    #[serde(skip_serializing_if = "Option::is_none")]
    synced_table: Option<SyncedTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
    /// CONFIRMATION_REQUIRED if nothing was done yet
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll: Option<Poll>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    confirmation: Option<Confirmation>,
}

#[derive(Default, Serialize, JsonSchema)]
struct Catalog {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database_name: Option<String>,
    /// created or deleted, if this call did it
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// Why it could not be unregistered
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Tool for ManageSync {
    const NAME: &str = "manage_lakebase_sync";
    const TITLE: &str = "Manage synced tables";
    const DESCRIPTION: &str = "Synced tables: PostgreSQL tables that are kept equal to Delta tables (reverse \
        ETL). create_or_update registers the catalog if needed and makes the synced table; for an existing \
        one it tells its state, and refuses other settings than it has. delete ends the sync after a \
        confirmation; the Delta table is never touched, and the PostgreSQL table stays unless purge_data.";
    const NEEDS: Access = Access::Manage;
    const HINTS: Hints = Hints { read_only: false, destructive: true, idempotent: true };
    type Arguments = Arguments;
    type Output = Output;

    async fn run(call: &Call, arguments: Arguments) -> Result<Output> {
        must_manage(call, "manage_lakebase_sync")?;
        match arguments.action {
            Action::CreateOrUpdate => create_or_update(call, Wish::check(arguments)?).await,
            Action::Delete => delete(call, arguments).await,
        }
    }
}

/// A checked request for a sync.
struct Wish {
    instance: String,
    source: String,
    target: String,
    catalog: String,
    database: Option<String>,
    keys: Option<Vec<String>>,
    policy: Option<Policy>,
    wait: Option<WaitSeconds>,
}

impl Wish {
    fn check(arguments: Arguments) -> Result<Self, Failure> {
        let Arguments { instance_name, source_table_name, target_table_name, .. } = arguments;
        let (Some(instance), Some(source), Some(target)) =
            (instance_name, source_table_name, target_table_name)
        else {
            return Err(Failure::invalid(
                "create_or_update requires: instance_name, source_table_name, target_table_name",
            ));
        };
        three_parts("source_table_name", &source)?;
        let first = three_parts("target_table_name", &target)?.to_owned();
        let catalog = arguments.catalog_name.unwrap_or_else(|| first.clone());
        if catalog != first {
            return Err(Failure::invalid(format!(
                "catalog_name: `{catalog}` is not the catalog of target_table_name, which is `{first}`"
            )));
        }
        let empty = |keys: &Vec<String>| keys.is_empty() || keys.iter().any(String::is_empty);
        if arguments.primary_key_columns.as_ref().is_some_and(empty) {
            return Err(Failure::invalid(
                "primary_key_columns: name at least one column, or leave it out",
            ));
        }
        Ok(Self {
            instance,
            source,
            target,
            catalog,
            database: arguments.database_name,
            keys: arguments.primary_key_columns,
            policy: arguments.scheduling_policy,
            wait: arguments.wait_seconds,
        })
    }
}

impl Wish {
    fn database(&self) -> String {
        database_or_default(self.database.clone())
    }
}

async fn create_or_update(call: &Call, wish: Wish) -> Result<Output> {
    let client = call.client();
    let catalog = catalog_of(client, &wish).await?;
    match client.get_synced_database_table(&wish.target).await {
        Ok(table) => existing(&wish, catalog, &table),
        Err(error) if error.is_not_found() => create(call, &wish, catalog).await,
        Err(error) => Err(error.into()),
    }
}

/// The registered catalog, if there is one; it must show a database of this instance.
async fn catalog_of(client: &Client, wish: &Wish) -> Result<Option<DatabaseCatalog>> {
    let catalog = match client.get_database_catalog(&wish.catalog).await {
        Ok(catalog) => catalog.into_inner(),
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if catalog.database_instance_name != wish.instance {
        return Err(Failure::invalid(format!(
            "instance_name: catalog `{}` shows instance `{}`, not `{}`",
            wish.catalog, catalog.database_instance_name, wish.instance
        ))
        .into());
    }
    match &wish.database {
        Some(database) if *database != catalog.database_name => Err(Failure::invalid(format!(
            "database_name: catalog `{}` shows database `{}`, not `{database}`",
            wish.catalog, catalog.database_name
        ))
        .into()),
        _ => Ok(Some(catalog)),
    }
}

fn existing(
    wish: &Wish,
    catalog: Option<DatabaseCatalog>,
    table: &SyncedDatabaseTable,
) -> Result<Output> {
    let spec = table.spec.clone().unwrap_or_default();
    let differs = [
        ("source_table_name", Some(&wish.source) != spec.source_table_full_name.as_ref()),
        (
            "scheduling_policy",
            wish.policy
                .is_some_and(|policy| Some(policy.name()) != spec.scheduling_policy.as_deref()),
        ),
        ("primary_key_columns", wish.keys.is_some() && wish.keys != spec.primary_key_columns),
    ];
    if let Some((field, _)) = differs.into_iter().find(|(_, differs)| *differs) {
        let message = format!(
            "{field}: synced table `{}` exists with other settings, which cannot be changed",
            wish.target
        );
        return Err(Failure::new(code::STATE, message)
            .hint("delete it and create it anew; the table in PostgreSQL, its indexes and grants stay")
            .field("synced_table", serde_json::to_value(describe(table)).unwrap_or_default())
            .into());
    }
    let catalog = catalog.map(|catalog| Catalog {
        name: catalog.name,
        instance_name: Some(catalog.database_instance_name),
        database_name: Some(catalog.database_name),
        ..Catalog::default()
    });
    let poll = poll(table);
    Ok(Output {
        catalog,
        synced_table: Some(describe(table)),
        created: Some(false),
        poll,
        ..Output::default()
    })
}

async fn create(call: &Call, wish: &Wish, catalog: Option<DatabaseCatalog>) -> Result<Output> {
    let client = call.client();
    database::find(client, &wish.instance).await?;
    source_exists(client, &wish.source).await?;
    let is_new = catalog.is_none() && !is_other_catalog(client, &wish.catalog).await?;
    if is_new {
        register(client, wish).await?;
    }
    let database = catalog.map(|catalog| catalog.database_name).unwrap_or_else(|| wish.database());
    let made = match client.create_synced_database_table(&body(wish, &database)).await {
        Ok(made) => made.into_inner(),
        Err(error) => {
            if is_new {
                unregister(client, &wish.catalog).await;
            }
            return Err(error.into());
        }
    };
    let seen = settle(call, &wish.target, wish.wait).await?.unwrap_or(made);
    let poll = poll(&seen);
    Ok(Output {
        catalog: Some(Catalog {
            name: wish.catalog.clone(),
            instance_name: Some(wish.instance.clone()),
            database_name: Some(database),
            status: is_new.then_some("created"),
            message: is_new.then(|| format!("Catalog `{}` was registered.", wish.catalog)),
            error: None,
        }),
        synced_table: Some(created(wish, &seen)),
        created: Some(true),
        poll,
        ..Output::default()
    })
}

fn created(wish: &Wish, seen: &SyncedDatabaseTable) -> SyncedTable {
    let described = describe(seen);
    SyncedTable {
        status: Some("CREATING"),
        instance_name: Some(wish.instance.clone()),
        source_table_name: Some(wish.source.clone()),
        target_table_name: Some(wish.target.clone()),
        scheduling_policy: Some(policy(wish).to_owned()),
        message: described.message.or_else(|| {
            Some(String::from("The sync was accepted; its state tells when the rows are there."))
        }),
        ..described
    }
}

fn policy(wish: &Wish) -> &'static str {
    wish.policy.unwrap_or(Policy::Triggered).name()
}

/// Instance and database are named, because a catalog that shows no database does not tell them.
fn body(wish: &Wish, database: &str) -> SyncedDatabaseTable {
    SyncedDatabaseTable {
        name: wish.target.clone(),
        database_instance_name: Some(wish.instance.clone()),
        logical_database_name: Some(database.to_owned()),
        spec: Some(SyncedTableSpec {
            source_table_full_name: Some(wish.source.clone()),
            primary_key_columns: wish.keys.clone(),
            scheduling_policy: Some(policy(wish).to_owned()),
            create_database_objects_if_missing: Some(true),
            ..SyncedTableSpec::default()
        }),
        ..SyncedDatabaseTable::default()
    }
}

/// A wrong source is told before anything is registered. One that may not be looked at may still be
/// synced: that is for the server to say.
async fn source_exists(client: &Client, source: &str) -> Result<()> {
    match client.get_table(source).await {
        Err(error) if error.is_not_found() => {
            let message = format!("source_table_name: there is no table `{source}`");
            Err(Failure::new(code::NOT_FOUND, message).into())
        }
        _ => Ok(()),
    }
}

/// Whether the name is that of a catalog which shows no database: it takes synced tables as it is.
async fn is_other_catalog(client: &Client, name: &str) -> Result<bool> {
    match client.get_catalog(name).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn register(client: &Client, wish: &Wish) -> Result<()> {
    let catalog = DatabaseCatalog {
        name: wish.catalog.clone(),
        database_instance_name: wish.instance.clone(),
        database_name: wish.database(),
        ..DatabaseCatalog::default()
    };
    client.create_database_catalog(&catalog).await?;
    Ok(())
}

/// The failure that is told is the one that came first.
async fn unregister(client: &Client, catalog: &str) {
    if let Err(error) = client.delete_database_catalog(catalog).await {
        tracing::warn!(catalog, %error, "a catalog that is of no use could not be unregistered");
    }
}

async fn settle(
    call: &Call,
    table: &str,
    wait: Option<WaitSeconds>,
) -> Result<Option<SyncedDatabaseTable>> {
    let Some(wait) = wait else { return Ok(None) };
    let look = || async { Ok(call.client().get_synced_database_table(table).await?.into_inner()) };
    let describe =
        |seen: &SyncedDatabaseTable| format!("{table} is {}", state_name(seen).unwrap_or_default());
    call.watch(wait.duration(), look, |seen| !is_busy(seen), describe).await.map(Some)
}

async fn delete(call: &Call, arguments: Arguments) -> Result<Output> {
    let name = required("delete", "table_name", arguments.table_name)?;
    three_parts("table_name", &name)?;
    let client = call.client();
    let table = find(client, &name).await?;
    let purge = arguments.purge_data.unwrap_or_default();
    let plan = deletion(call, &table, arguments.catalog_name.as_deref(), purge).await?;
    if let Verdict::Pending(asked) = confirm(call, plan, arguments.confirm_token.as_deref()).await?
    {
        return Ok(Output {
            synced_table: Some(describe(&table)),
            status: Some("CONFIRMATION_REQUIRED"),
            confirmation: Some(asked),
            ..Output::default()
        });
    }
    client.delete_synced_database_table(&name, purge.then_some(true)).await?;
    wait_until_gone(call, &name, arguments.wait_seconds).await?;
    let catalog = match arguments.catalog_name {
        Some(catalog) => Some(delete_catalog(client, catalog).await),
        None => None,
    };
    Ok(Output {
        catalog,
        synced_table: Some(SyncedTable {
            table_name: name,
            status: Some("deleted"),
            postgres_table: Some(if purge { "dropped" } else { "kept" }),
            ..SyncedTable::default()
        }),
        ..Output::default()
    })
}

async fn wait_until_gone(call: &Call, name: &str, wait: Option<WaitSeconds>) -> Result<bool> {
    let look = || async {
        match call.client().get_synced_database_table(name).await {
            Ok(_) => Ok(false),
            Err(error) if error.is_not_found() => Ok(true),
            Err(error) => Err(error.into()),
        }
    };
    let patience = wait.unwrap_or_default().duration();
    call.watch(patience, look, |gone| *gone, |_| format!("{name} is being deleted")).await
}

async fn delete_catalog(client: &Client, name: String) -> Catalog {
    match client.delete_database_catalog(&name).await {
        Ok(()) => Catalog { name, status: Some("deleted"), ..Catalog::default() },
        Err(error) => Catalog { name, error: Some(error.to_string()), ..Catalog::default() },
    }
}

async fn deletion(
    call: &Call,
    table: &SyncedDatabaseTable,
    catalog: Option<&str>,
    purge: bool,
) -> Result<Plan> {
    let described = describe(table);
    let name = &described.table_name;
    let instance = described.instance_name.clone().unwrap_or_default();
    let protected = match call.client().get_database_instance(&instance).await {
        Ok(found) => call.settings().protects(&found),
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(error.into()),
    };
    let source = described.source_table_name.clone().unwrap_or_default();
    let mut effects =
        vec![format!("End the sync of `{source}` into `{name}` of instance `{instance}`")];
    effects.push(String::from(match purge {
        true => "Drop the table in PostgreSQL with its rows",
        false => "Keep the table in PostgreSQL as it is",
    }));
    if let Some(catalog) = catalog {
        effects.push(format!("Unregister catalog `{catalog}`; its database stays"));
    }
    let fingerprint = format!("{:?} {:?}", described.pipeline_id, table.spec);
    Ok(Plan { tool: ManageSync::NAME, instance, protected, effects, fingerprint })
}

fn poll(table: &SyncedDatabaseTable) -> Option<Poll> {
    is_busy(table).then(|| Poll::new("lakebase_sync_status", &[("table_name", &table.name)], 5))
}
