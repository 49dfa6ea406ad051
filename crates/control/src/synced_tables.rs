//! Synced tables: the service behind `/api/2.0/database/synced_tables`.
//!
//! Everything that can be wrong with a request is found before anything is made.

use std::time::Duration;

use lakeport_api::{SyncedDatabaseTable, SyncedTableSpec, SyncedTableState};
use lakeport_catalog::TableName;
use lakeport_pg::QualifiedName;
use lakeport_store::{Create, Instance, NewSyncedTable, Principal, SyncedTable};
use uuid::Uuid;

use crate::page::PageRequest;
use crate::synced_table_spec::{
    check_columns, check_spec, feed_warning, needs_vectors, policy, shape_of,
};
use crate::synced_table_wire::{state_name, to_wire};
use crate::target::{check_place, refused};
use crate::{Capability, Control, Created, Error, Kind, Page, Result, Sender};

/// How long a new synced table waits for the one whose name or place it takes.
const ENDING_TIMEOUT: Duration = Duration::from_secs(20);
const ENDING_POLL: Duration = Duration::from_millis(50);

impl Control {
    pub async fn create_synced_table(
        &self,
        caller: &Principal,
        sender: &Sender,
        request: &SyncedDatabaseTable,
    ) -> Result<Created<SyncedDatabaseTable>> {
        let digest = sender.digest("synced table", request)?;
        let create = self.create(&digest);
        let name: TableName =
            request.name.parse().map_err(|error| Error::invalid("name", error))?;
        let spec = request.spec.as_ref().ok_or_else(|| Error::invalid("spec", "it is missing"))?;
        check_spec(spec)?;
        QualifiedName::new(&name.schema, &name.table)
            .map_err(|error| Error::invalid("name", error))?;
        let (instance, database) = self.target_of(&name, request).await?;
        self.wait_for_ending(request, &instance, [&database, &name.schema, &name.table]).await?;
        if let Some(existing) = self.store.synced_table(&request.name).await? {
            return self.repeated_synced_table(&existing, &instance, &create).await;
        }
        let pipeline = self.shared_pipeline(caller, spec, &instance).await?;
        self.check_storage(spec).await?;
        let warning = self.check_source(caller, spec).await?;
        self.require_available(&instance)?;
        self.check_target(caller, &instance, &database, &name, spec).await?;
        let json = |value: serde_json::Result<serde_json::Value>| {
            value.map_err(|error| Error::internal("writing a synced table's request", error))
        };
        let new = NewSyncedTable {
            name: request.name.clone(),
            id: Uuid::new_v4(),
            instance_uid: instance.uid,
            database_name: database,
            schema_name: name.schema,
            table_name: name.table,
            creator: caller.user_name.clone(),
            request: json(serde_json::to_value(request))?,
            settings: json(serde_json::to_value(spec.lakeport.clone().unwrap_or_default()))?,
            state: state_name(SyncedTableState::Provisioning),
            policy: policy(spec)?.name().to_owned(),
            pipeline,
            warning,
        };
        let unanswered = self.unanswered(new.id);
        let table = match self.store.add_synced_table(&new, &create).await {
            Ok(Some(table)) => table,
            Ok(None) => return Err(no_pipeline(spec)),
            Err(error) if error.is_constraint("synced_tables_pkey") => {
                let existing = self.store.synced_table(&request.name).await?;
                let existing = existing.ok_or_else(|| taken(&request.name))?;
                return self.repeated_synced_table(&existing, &instance, &create).await;
            }
            Err(error) if error.is_constraint("synced_tables_target") => {
                return Err(Error::already_exists(format!(
                    "another synced table already exists that writes \"{}\".\"{}\" in database \"{}\"",
                    new.schema_name, new.table_name, new.database_name
                )));
            }
            Err(error) => return Err(error.into()),
        };
        self.wake.notify_one();
        Ok(Created { answer: to_wire(&table, &instance.name, None)?, unanswered })
    }

    /// A synced table that is about to go soon makes room for a new one.
    async fn wait_for_ending(
        &self,
        request: &SyncedDatabaseTable,
        instance: &Instance,
        target: [&str; 3],
    ) -> Result<()> {
        let deadline = tokio::time::Instant::now() + ENDING_TIMEOUT;
        while let Some(ending) =
            self.store.ending_synced_table(&request.name, instance.uid, target).await?
        {
            if tokio::time::Instant::now() >= deadline {
                let why = ending.message.map(|message| format!(" ({message})")).unwrap_or_default();
                return Err(Error::already_exists(format!(
                    "synced table \"{}\" already exists and is still being deleted{why}; try again",
                    ending.name
                )));
            }
            self.wake.notify_one();
            tokio::time::sleep(ENDING_POLL).await;
        }
        Ok(())
    }

    async fn repeated_synced_table(
        &self,
        existing: &SyncedTable,
        instance: &Instance,
        create: &Create<'_>,
    ) -> Result<Created<SyncedDatabaseTable>> {
        let unanswered = match existing.deleted_at {
            None => self.repeated(existing.id, create).await?,
            Some(_) => None,
        };
        let unanswered = unanswered.ok_or_else(|| taken(&existing.name))?;
        let answer = to_wire(existing, &instance.name, self.progress.of(existing.id))?;
        Ok(Created { answer, unanswered })
    }

    /// In a registered catalog, instance and database follow from it; elsewhere they must be given.
    async fn target_of(
        &self,
        name: &TableName,
        request: &SyncedDatabaseTable,
    ) -> Result<(Instance, String)> {
        let instance_name = request.database_instance_name.as_deref().filter(|n| !n.is_empty());
        let database = request.logical_database_name.as_deref().filter(|n| !n.is_empty());
        let Some(catalog) = self.store.database_catalog(&name.catalog).await? else {
            let missing = |field| {
                Error::invalid(
                    field,
                    format!(
                        "it is missing; it can only be left out where \"{}\" is a registered \
                         database catalog",
                        name.catalog
                    ),
                )
            };
            let instance_name = instance_name.ok_or_else(|| missing("database_instance_name"))?;
            let database = database.ok_or_else(|| missing("logical_database_name"))?;
            return Ok((self.find_instance(instance_name).await?, database.to_owned()));
        };
        let instance = self.find_instance(&catalog.instance_name).await?;
        if let Some(given) = instance_name
            && self.find_instance(given).await?.uid != instance.uid
        {
            return Err(Error::invalid(
                "database_instance_name",
                format!("catalog \"{}\" belongs to instance \"{}\"", catalog.name, instance.name),
            ));
        }
        if database.is_some_and(|given| given != catalog.database_name) {
            return Err(Error::invalid(
                "logical_database_name",
                format!("catalog \"{}\" shows \"{}\"", catalog.name, catalog.database_name),
            ));
        }
        Ok((instance, catalog.database_name))
    }

    /// Gives what the caller should know of a source that is there.
    async fn check_source(
        &self,
        caller: &Principal,
        spec: &SyncedTableSpec,
    ) -> Result<Option<String>> {
        let source = spec.source_table_full_name.as_deref().unwrap_or_default();
        let name: TableName =
            source.parse().map_err(|error| Error::invalid("spec.source_table_full_name", error))?;
        self.require_select(caller, &name).await?;
        let location = self.catalog.resolve(&name).await?;
        let inspection = self.runner.inspect(&location).await.map_err(|error| {
            Error::invalid("spec.source_table_full_name", format!("{name}: {}", error.message))
        })?;
        check_columns(spec, &inspection)?;
        let shape = shape_of(spec)?;
        self.runner
            .check_shape(&location, &shape)
            .await
            .map_err(|error| Error::invalid("spec", format!("{name}: {}", error.message)))?;
        feed_warning(spec, &name, &inspection)
    }

    /// The pipeline that the table is to share: one of the same instance and policy.
    async fn shared_pipeline(
        &self,
        caller: &Principal,
        spec: &SyncedTableSpec,
        instance: &Instance,
    ) -> Result<Option<Uuid>> {
        let Some(given) = &spec.existing_pipeline_id else { return Ok(None) };
        let id = Uuid::parse_str(given).map_err(|_| no_pipeline(spec))?;
        let pipeline = self.store.pipeline(id).await?.ok_or_else(|| no_pipeline(spec))?;
        match self.authorize_pipeline(caller, given, Capability::CanManage).await {
            Err(error) if error.kind() == Kind::NotFound => return Err(no_pipeline(spec)),
            authorized => authorized?,
        }
        if pipeline.instance_uid != instance.uid {
            let problem = format!("pipeline \"{given}\" belongs to another instance");
            return Err(Error::invalid("spec.existing_pipeline_id", problem));
        }
        if pipeline.policy != policy(spec)?.name() {
            let problem = format!("pipeline \"{given}\" is {}", pipeline.policy);
            return Err(Error::invalid("spec.scheduling_policy", problem));
        }
        Ok(Some(id))
    }

    /// A pipeline's files do not go into a database.
    async fn check_storage(&self, spec: &SyncedTableSpec) -> Result<()> {
        let storage = spec.new_pipeline_spec.as_ref();
        let Some(catalog) = storage.and_then(|new| new.storage_catalog.as_deref()) else {
            return Ok(());
        };
        if self.store.database_catalog(catalog).await?.is_none() {
            return Ok(());
        }
        let problem = format!("\"{catalog}\" is a database; name a catalog of Delta tables");
        Err(Error::invalid("spec.new_pipeline_spec.storage_catalog", problem))
    }

    /// The database must be there or be asked for, and the table must be free, or left there by an earlier sync.
    async fn check_target(
        &self,
        caller: &Principal,
        instance: &Instance,
        database: &str,
        name: &TableName,
        spec: &SyncedTableSpec,
    ) -> Result<()> {
        let create = spec.create_database_objects_if_missing.unwrap_or_default();
        let hint = "create it, or set spec.create_database_objects_if_missing";
        check_place(database, &name.schema)?;
        if !self.has_database(instance, database).await? {
            lakeport_pg::QuotedIdent::new(database)
                .map_err(|error| Error::invalid("logical_database_name", error))?;
            if create {
                return if needs_vectors(spec)? { Err(no_vectors(database)) } else { Ok(()) };
            }
            let problem = format!("database \"{database}\" was not found: {hint}");
            return Err(Error::invalid("logical_database_name", problem));
        }
        let session = self.admin_session(instance, database).await?;
        let sql = "select c.oid is not null,
                     exists (select from pg_catalog.pg_extension where extname = 'vector')
                   from (values (1)) one
                   left join pg_catalog.pg_namespace n on n.nspname = $1
                   left join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = $2";
        let row = session.query_one(sql, &[&name.schema, &name.table]).await;
        let row = row.map_err(refused("looking at the target"))?;
        if !row.get::<_, bool>(1) && needs_vectors(spec)? {
            return Err(no_vectors(database));
        }
        let is_taken = row.get::<_, bool>(0)
            && !self.is_left_to(&session, instance, &caller.user_name, database, name).await?;
        if is_taken {
            return Err(Error::already_exists(format!(
                "a relation \"{}\".\"{}\" already exists in database \"{database}\": drop or rename \
                 it, or choose another name",
                name.schema, name.table
            )));
        }
        Ok(())
    }

    pub async fn get_synced_table(&self, name: &str) -> Result<SyncedDatabaseTable> {
        let not_found = || Error::not_found("synced table", name);
        let table = self.store.synced_table(name).await?.ok_or_else(not_found)?;
        let instance = self.store.instance(table.instance_uid).await?.ok_or_else(not_found)?;
        to_wire(&table, &instance.name, self.progress.of(table.id))
    }

    /// Ends the synced table; the PostgreSQL table goes too only if `purge_data` is set.
    pub async fn delete_synced_table(&self, name: &str, purge_data: Option<bool>) -> Result<()> {
        let purge_data = purge_data.unwrap_or_default();
        if !self.store.mark_synced_table_deleted(name, purge_data).await? {
            return Err(Error::not_found("synced table", name));
        }
        self.wake.notify_one();
        Ok(())
    }

    pub async fn list_synced_tables(
        &self,
        instance_name: &str,
        page_size: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<SyncedDatabaseTable>> {
        let instance = self.find_instance(instance_name).await?;
        let list = format!("synced tables of {}", instance.uid);
        let request = PageRequest::new(&self.vault, list, page_size, page_token)?;
        let rows = self.store.synced_tables(instance.uid, &request.after, request.limit()).await?;
        let page = request.page(rows, |row| row.name.clone());
        let items = page
            .items
            .iter()
            .map(|row| to_wire(row, &instance.name, self.progress.of(row.id)))
            .collect::<Result<_>>()?;
        Ok(Page { items, next_page_token: page.next_page_token })
    }
}

fn taken(name: &str) -> Error {
    Error::already_exists(format!("synced table \"{name}\" already exists"))
}

fn no_pipeline(spec: &SyncedTableSpec) -> Error {
    let given = spec.existing_pipeline_id.as_deref().unwrap_or_default();
    let problem = format!(
        "pipeline \"{given}\" was not found; give the pipeline_id of a synced table that is there"
    );
    Error::invalid("spec.existing_pipeline_id", problem)
}

fn no_vectors(database: &str) -> Error {
    let problem = format!(
        "database \"{database}\" has no type vector; run CREATE EXTENSION vector there first"
    );
    Error::invalid("spec.type_overrides", problem)
}
