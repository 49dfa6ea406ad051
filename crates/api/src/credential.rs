//! Database credentials: `POST /api/2.0/database/credentials`.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerateCredentialRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<Vec<RequestedClaims>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_names: Option<Vec<String>>,
    /// Free text of the client's choice; repeating it is fine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestedClaims {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<RequestedResource>>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestedResource {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unspecified_resource_name: Option<String>,
}

/// A PostgreSQL password that lives one hour; checked at login only.
#[derive(Clone, Serialize, Deserialize)]
pub struct DatabaseCredential {
    pub token: String,
    /// RFC 3339.
    pub expiration_time: String,
}

impl fmt::Debug for DatabaseCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseCredential")
            .field("token", &"***")
            .field("expiration_time", &self.expiration_time)
            .finish()
    }
}
