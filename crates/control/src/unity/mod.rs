//! Unity Catalog: the services behind `/api/2.1/unity-catalog`.
//!
//! A catalog is either embedded, and its schemas and tables are rows of ours, or it shows a database of an
//! instance, and everything below it is read from that database when it is asked for. Rights on the first
//! are rows of ours, too; rights on the second are PostgreSQL's. Beside them, catalogs of other servers are shown.

mod catalogs;
mod constraints;
mod credentials;
mod database_grants;
mod database_tables;
mod grants;
mod info;
mod mirror;
mod mirror_types;
mod outside;
mod rights;
mod schemas;
mod settings;
mod spark_type;
mod tables;

use lakeport_api::unity::UpdateObject;
use lakeport_catalog::TableName;
use lakeport_store::{DatabaseCatalogRow, ObjectPatch, UnityCatalog};

use crate::{Control, Error, Result};

use rights::Who;

/// What stands behind a catalog's name.
enum Behind {
    Embedded(UnityCatalog),
    Database(DatabaseCatalogRow),
}

impl Control {
    /// The catalog, if the caller may know of it.
    async fn catalog_behind(&self, who: &Who, name: &str) -> Result<Behind> {
        let not_found = || Error::not_found("catalog", name);
        if let Some(row) = self.store.database_catalog(name).await? {
            return match who.reaches(&row) {
                true => Ok(Behind::Database(row)),
                false => Err(not_found()),
            };
        }
        let row = self.store.unity_catalog(name).await?.ok_or_else(not_found)?;
        let known = who.owns(&row.owner) || self.is_named_in(who, name, None).await?;
        if known { Ok(Behind::Embedded(row)) } else { Err(not_found()) }
    }

    async fn checked_patch(&self, request: &UpdateObject) -> Result<ObjectPatch> {
        let settings = settings::of_update(request)?;
        if let Some(owner) = &request.owner
            && self.store.principal(owner).await?.is_none()
        {
            let problem = format!("\"{owner}\" is no user, service principal or group");
            return Err(Error::invalid("owner", problem));
        }
        let properties =
            request.properties.as_ref().map(|map| info::json(Some(map))).transpose()?;
        let (owner, comment) = (request.owner.clone(), request.comment.clone());
        Ok(ObjectPatch { owner, comment, properties, settings, new_name: request.new_name.clone() })
    }

    /// Whether a catalog of this name can be made.
    async fn is_free_catalog(&self, name: &str) -> Result<bool> {
        let mounted = self.catalog.mounts().contains(&name);
        Ok(!mounted && self.store.database_catalog(name).await?.is_none())
    }

    /// Synced tables know what they read by its name, and are known by their own.
    async fn refuse_rename_under_synced_tables(
        &self,
        catalog: &str,
        schema: Option<&str>,
    ) -> Result<()> {
        let lies_there = |text: &str| {
            text.parse::<TableName>().is_ok_and(|name| {
                name.catalog == catalog && schema.is_none_or(|schema| name.schema == schema)
            })
        };
        for (own, source) in self.store.names_of_synced_tables().await? {
            // Who may rename may know of this one, and perhaps not of the other.
            if let Some(name) = [source, own].iter().find(|name| lies_there(name)) {
                return Err(Error::precondition(format!(
                    "new_name: a synced table reads \"{name}\" or is called so, and knows it by this name: \
                     delete the synced table first, and create it again with the new name"
                )));
            }
        }
        Ok(())
    }
}

/// For what has neither another name nor such settings.
fn refuse_settings(patch: &ObjectPatch, what: &str) -> Result<()> {
    if patch.new_name.is_some() {
        return Err(Error::unsupported(format!(
            "new_name: {what} cannot be renamed; leave it out"
        )));
    }
    if patch.settings.is_some() {
        return Err(Error::unsupported(format!(
            "{}: {what} has none; leave it out",
            settings::OPTIMIZATION
        )));
    }
    Ok(())
}

/// What shows a database is changed there.
fn read_only(catalog: &DatabaseCatalogRow, what: &str) -> Error {
    Error::precondition(format!(
        "catalog \"{}\" shows database \"{}\" of instance \"{}\" as it is: {what} in SQL",
        catalog.name, catalog.database_name, catalog.instance_name
    ))
}
