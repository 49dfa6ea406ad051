//! The caller's own identity: `GET /api/2.0/preview/scim/v2/Me`.

use serde::{Deserialize, Serialize};

/// `userName` is what clients use as the PostgreSQL user.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct User {
    pub active: bool,
    pub display_name: String,
    pub emails: Vec<Email>,
    pub groups: Vec<GroupRef>,
    pub id: String,
    pub schemas: Vec<String>,
    pub user_name: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Email {
    pub primary: bool,
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupRef {
    pub display: String,
    pub value: String,
}
