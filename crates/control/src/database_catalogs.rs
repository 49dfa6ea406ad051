//! Registered databases: the service behind `/api/2.0/database/catalogs`.

use lakeport_api::{DatabaseCatalog, InstanceState};
use lakeport_catalog::check_part;
use lakeport_engine::MAINTENANCE_DATABASE;
use lakeport_pg::QuotedIdent;
use lakeport_store::{Create, DatabaseCatalogRow, Instance, NewDatabaseCatalog};
use uuid::Uuid;

use crate::instances::wire_name;
use crate::page::PageRequest;
use crate::target::refused;
use crate::{Control, Created, Error, Page, Result, Sender};

impl Control {
    pub async fn create_database_catalog(
        &self,
        caller: &str,
        sender: &Sender,
        request: &DatabaseCatalog,
    ) -> Result<Created<DatabaseCatalog>> {
        check_part("catalog", &request.name).map_err(|error| Error::invalid("name", error))?;
        require("database_instance_name", &request.database_instance_name)?;
        require("database_name", &request.database_name)?;
        let instance = self.find_instance(&request.database_instance_name).await?;
        let elsewhere = self.catalog.mounts().contains(&request.name.as_str())
            || self.store.unity_catalog(&request.name).await?.is_some();
        if elsewhere {
            return Err(name_taken(&request.name));
        }
        let digest = sender.digest("database catalog", request)?;
        let create = self.create(&digest);
        // Before a database is made for it.
        if let Some(existing) = self.store.database_catalog(&request.name).await? {
            return self.repeated_catalog(existing, &create).await;
        }
        let make_database = request.create_database_if_not_exists.unwrap_or_default();
        self.ensure_database(&instance, &request.database_name, make_database).await?;
        let (name, database) = (&request.name, &request.database_name);
        let new = NewDatabaseCatalog {
            name,
            uid: Uuid::new_v4(),
            instance_uid: instance.uid,
            database_name: database,
            creator: caller,
        };
        let unanswered = self.unanswered(new.uid);
        match self.store.add_database_catalog(&new, &create).await {
            Ok(()) => Ok(Created { answer: self.get_database_catalog(name).await?, unanswered }),
            Err(error) if error.is_constraint("database_catalogs_pkey") => {
                let existing = self.store.database_catalog(name).await?;
                let existing = existing.ok_or_else(|| name_taken(name))?;
                self.repeated_catalog(existing, &create).await
            }
            Err(error) if error.is_constraint("database_catalogs_database") => {
                Err(Error::already_exists(format!(
                    "database \"{database}\" of instance \"{}\" already exists as another catalog; a \
                     database has one at a time",
                    instance.name
                )))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn repeated_catalog(
        &self,
        existing: DatabaseCatalogRow,
        create: &Create<'_>,
    ) -> Result<Created<DatabaseCatalog>> {
        match self.repeated(existing.uid, create).await? {
            Some(unanswered) => Ok(Created { answer: to_wire(existing), unanswered }),
            None => Err(name_taken(&existing.name)),
        }
    }

    /// The database must be there, or is made when that was asked for.
    pub(crate) async fn ensure_database(
        &self,
        instance: &Instance,
        database: &str,
        create: bool,
    ) -> Result<()> {
        let quoted =
            QuotedIdent::new(database).map_err(|error| Error::invalid("database_name", error))?;
        if database == MAINTENANCE_DATABASE {
            return Err(Error::invalid("database_name", "\"lakeport\" is the system's own"));
        }
        self.require_available(instance)?;
        if self.has_database(instance, database).await? {
            return Ok(());
        }
        if !create {
            return Err(Error::not_found("database", database));
        }
        let session = self.admin_session(instance, MAINTENANCE_DATABASE).await?;
        let owner = QuotedIdent::new(&instance.creator)
            .map_err(|error| Error::invalid("creator", error))?;
        let made = session.batch_execute(&format!("create database {quoted} owner {owner}")).await;
        match made {
            Err(error)
                if lakeport_pg::sqlstate(&error)
                    != Some(&tokio_postgres::error::SqlState::DUPLICATE_DATABASE) =>
            {
                Err(refused("creating a database")(error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) async fn has_database(&self, instance: &Instance, database: &str) -> Result<bool> {
        let session = self.admin_session(instance, MAINTENANCE_DATABASE).await?;
        let found = session
            .query_opt("select from pg_catalog.pg_database where datname = $1", &[&database])
            .await
            .map_err(refused("looking for a database"))?;
        Ok(found.is_some())
    }

    pub(crate) fn require_available(&self, instance: &Instance) -> Result<()> {
        if instance.node_id != self.node {
            return Err(Error::precondition(format!(
                "instance \"{}\" lives on another server: ask that one",
                instance.name
            )));
        }
        if instance.state == wire_name(InstanceState::Available) {
            return Ok(());
        }
        Err(Error::precondition(format!(
            "instance \"{}\" is {}; it must be AVAILABLE",
            instance.name, instance.state
        )))
    }

    pub async fn get_database_catalog(&self, name: &str) -> Result<DatabaseCatalog> {
        let row = self.store.database_catalog(name).await?;
        row.map(to_wire).ok_or_else(|| Error::not_found("database catalog", name))
    }

    /// Forgets the registration; the database and its data stay, and the answer says so.
    pub async fn delete_database_catalog(&self, name: &str) -> Result<String> {
        let not_found = || Error::not_found("database catalog", name);
        let row = self.store.database_catalog(name).await?.ok_or_else(not_found)?;
        if self.store.delete_database_catalog(name).await? {
            return Ok(format!(
                "The catalog is gone; database \"{}\" of instance \"{}\" and its data stay.",
                row.database_name, row.instance_name
            ));
        }
        Err(not_found())
    }

    pub async fn list_database_catalogs(
        &self,
        instance_name: &str,
        page_size: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<DatabaseCatalog>> {
        let instance = self.find_instance(instance_name).await?;
        let list = format!("database catalogs of {}", instance.uid);
        let request = PageRequest::new(&self.vault, list, page_size, page_token)?;
        let rows =
            self.store.database_catalogs(instance.uid, &request.after, request.limit()).await?;
        let page = request.page(rows, |row| row.name.clone());
        let items = page.items.into_iter().map(to_wire).collect();
        Ok(Page { items, next_page_token: page.next_page_token })
    }
}

fn require(field: &str, value: &str) -> Result<()> {
    if value.is_empty() { Err(Error::invalid(field, "it is missing")) } else { Ok(()) }
}

fn name_taken(name: &str) -> Error {
    Error::already_exists(format!("catalog \"{name}\" already exists"))
}

fn to_wire(row: DatabaseCatalogRow) -> DatabaseCatalog {
    DatabaseCatalog {
        name: row.name,
        database_instance_name: row.instance_name,
        database_name: row.database_name,
        create_database_if_not_exists: None,
        uid: Some(row.uid.to_string()),
    }
}
