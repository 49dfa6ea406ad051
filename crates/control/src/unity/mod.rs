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
mod tables;

use lakeport_api::unity::UpdateObject;
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
        if request.new_name.is_some() {
            return Err(Error::unsupported("new_name: renaming is not supported"));
        }
        if let Some(owner) = &request.owner
            && self.store.principal(owner).await?.is_none()
        {
            let problem = format!("\"{owner}\" is no user, service principal or group");
            return Err(Error::invalid("owner", problem));
        }
        let properties =
            request.properties.as_ref().map(|map| info::json(Some(map))).transpose()?;
        let (owner, comment) = (request.owner.clone(), request.comment.clone());
        Ok(ObjectPatch { owner, comment, properties })
    }
}

/// What shows a database is changed there.
fn read_only(catalog: &DatabaseCatalogRow, what: &str) -> Error {
    Error::precondition(format!(
        "catalog \"{}\" shows database \"{}\" of instance \"{}\" as it is: {what} in SQL",
        catalog.name, catalog.database_name, catalog.instance_name
    ))
}
