//! Unity Catalog: permissions, and credentials for a table's files.

use serde::{Deserialize, Serialize};

/// PATCH `/permissions/{securable_type}/{full_name}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdatePermissions {
    pub changes: Vec<PermissionsChange>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PermissionsChange {
    pub principal: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrivilegeAssignment {
    pub principal: String,
    pub privileges: Vec<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PermissionsList {
    pub privilege_assignments: Vec<PrivilegeAssignment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A privilege, and the object above that it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EffectivePrivilege {
    pub privilege: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherited_from_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherited_from_type: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EffectiveAssignment {
    pub principal: String,
    pub privileges: Vec<EffectivePrivilege>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EffectivePermissionsList {
    pub privilege_assignments: Vec<EffectiveAssignment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// POST `/temporary-table-credentials`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TableCredentialRequest {
    pub table_id: String,
    pub operation: String,
}

/// One of the three, by the store; a table of local files has none. Never printed.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TableCredential {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_temp_credentials: Option<AwsCredentials>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azure_user_delegation_sas: Option<AzureSas>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gcp_oauth_token: Option<GcpToken>,
    /// Milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_time: Option<i64>,
    pub url: String,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AwsCredentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AzureSas {
    pub sas_token: String,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GcpToken {
    pub oauth_token: String,
}
