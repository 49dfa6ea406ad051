//! Tables of databases under three-part names: the service behind `/api/2.0/database/tables`.

use lakeport_api::DatabaseTable;
use lakeport_catalog::TableName;
use lakeport_store::{Principal, UnityTable};
use serde_json::json;
use uuid::Uuid;

use super::rights::{CREATE_TABLE, Who, require, require_manager};
use super::{Behind, read_only};
use crate::{Control, Error, Result};

impl Control {
    /// In a catalog that shows a database, its tables have their names already; in another one, the table
    /// `schema.table` of the named database gets one.
    pub async fn create_database_table(
        &self,
        caller: &Principal,
        request: &DatabaseTable,
    ) -> Result<DatabaseTable> {
        let name: TableName =
            request.name.parse().map_err(|error| Error::invalid("name", error))?;
        let who = self.who(caller).await?;
        if let Behind::Database(row) = self.catalog_behind(&who, &name.catalog).await? {
            let known = self.shown_database_table(&who, &row, &name).await?;
            let same = |given: &Option<String>, known: &Option<String>| {
                given
                    .as_deref()
                    .is_none_or(|given| given.is_empty() || Some(given) == known.as_deref())
            };
            if !same(&request.database_instance_name, &known.database_instance_name) {
                return Err(mismatch("database_instance_name", &row.name, &row.instance_name));
            }
            if !same(&request.logical_database_name, &known.logical_database_name) {
                return Err(mismatch("logical_database_name", &row.name, &row.database_name));
            }
            return Ok(known);
        }
        self.register_database_table(&who, &name, request).await
    }

    async fn register_database_table(
        &self,
        who: &Who,
        name: &TableName,
        request: &DatabaseTable,
    ) -> Result<DatabaseTable> {
        let (_, held) = self.known_schema(who, &name.catalog, &name.schema).await?;
        require(&held, CREATE_TABLE, &format!("{}.{}", name.catalog, name.schema))?;
        let given = |field: &'static str, value: &Option<String>| {
            let value = value.clone().filter(|value| !value.is_empty());
            value.ok_or_else(|| Error::invalid(field, "it is missing"))
        };
        let instance = given("database_instance_name", &request.database_instance_name)?;
        let database = given("logical_database_name", &request.logical_database_name)?;
        let instance = self.find_instance(&instance).await?;
        if !who.admin && !who.instances().contains(&instance.uid) {
            return Err(Error::not_found("database instance", &instance.name));
        }
        let mirror = self.mirror_of(instance.uid, &name.catalog, &database).await?;
        if mirror.table(who, &name.schema, &name.table).await?.is_none() {
            let missing = format!("{}.{}", name.schema, name.table);
            return Err(Error::not_found("table", &missing));
        }
        let table = UnityTable {
            id: Uuid::new_v4(),
            catalog_name: name.catalog.clone(),
            schema_name: name.schema.clone(),
            name: name.table.clone(),
            owner: who.name.clone(),
            storage_location: None,
            comment: None,
            columns: json!([]),
            properties: json!({}),
            created_at: jiff::Timestamp::now(),
            created_by: None,
            updated_at: None,
            updated_by: None,
            constraints: json!([]),
            instance_uid: Some(instance.uid),
            database_name: Some(database.clone()),
        };
        match self.store.add_unity_table(&table).await {
            Ok(_) => Ok(wire(name, instance.name, database)),
            Err(error) if error.is_constraint("unity_tables_pkey") => {
                Err(Error::already_exists(format!("table \"{name}\" already exists")))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub async fn get_database_table(
        &self,
        caller: &Principal,
        full_name: &str,
    ) -> Result<DatabaseTable> {
        let not_found = || Error::not_found("database table", full_name);
        let name: TableName = full_name.parse().map_err(|_| not_found())?;
        let who = self.who(caller).await?;
        if let Behind::Database(row) = self.catalog_behind(&who, &name.catalog).await? {
            return self.shown_database_table(&who, &row, &name).await;
        }
        let (row, _) = self.known_table(&who, full_name).await?;
        let (Some(uid), Some(database)) = (row.instance_uid, row.database_name) else {
            return Err(not_found());
        };
        let instance = self.store.instance(uid).await?.ok_or_else(not_found)?;
        Ok(wire(&name, instance.name, database))
    }

    /// Forgets the registration; the table and its data stay.
    pub async fn delete_database_table(&self, caller: &Principal, full_name: &str) -> Result<()> {
        let not_found = || Error::not_found("database table", full_name);
        let name: TableName = full_name.parse().map_err(|_| not_found())?;
        let who = self.who(caller).await?;
        if let Behind::Database(row) = self.catalog_behind(&who, &name.catalog).await? {
            self.shown_database_table(&who, &row, &name).await?;
            return Err(read_only(&row, "drop the table"));
        }
        let (row, held) = self.known_table(&who, full_name).await?;
        if row.instance_uid.is_none() {
            return Err(not_found());
        }
        require_manager(&held, full_name)?;
        self.store.delete_unity_table(row.id).await?;
        Ok(())
    }

    async fn shown_database_table(
        &self,
        who: &Who,
        row: &lakeport_store::DatabaseCatalogRow,
        name: &TableName,
    ) -> Result<DatabaseTable> {
        let mirror = self.mirror(row).await?;
        match mirror.table(who, &name.schema, &name.table).await? {
            Some(_) => Ok(wire(name, row.instance_name.clone(), row.database_name.clone())),
            None => Err(Error::not_found("database table", &name.to_string())),
        }
    }
}

fn mismatch(field: &str, catalog: &str, shown: &str) -> Error {
    Error::invalid(field, format!("catalog \"{catalog}\" shows \"{shown}\""))
}

fn wire(name: &TableName, instance: String, database: String) -> DatabaseTable {
    DatabaseTable {
        name: name.to_string(),
        database_instance_name: Some(instance),
        logical_database_name: Some(database),
    }
}
