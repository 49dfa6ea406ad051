//! Registered databases: `/api/2.0/database/catalogs`.

use serde::{Deserialize, Serialize};

/// A Unity Catalog catalog that shows one database of an instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseCatalog {
    pub name: String,
    pub database_instance_name: String,
    pub database_name: String,
    /// Input only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_database_if_not_exists: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseCatalogList {
    pub database_catalogs: Vec<DatabaseCatalog>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A table of a database under a three-part name: `/api/2.0/database/tables`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseTable {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_instance_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logical_database_name: Option<String>,
}
