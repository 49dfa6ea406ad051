//! PostgreSQL roles of an instance: `/api/2.0/database/instances/{name}/roles`.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseInstanceRole {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_type: Option<IdentityType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership_role: Option<MembershipRole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<RoleAttributes>,
    /// What PostgreSQL says. Clients before 0.81 know `attributes` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_attributes: Option<RoleAttributes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_name: Option<String>,
}

/// Who logs in as the role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IdentityType {
    User,
    ServicePrincipal,
    Group,
    /// Nobody of the workspace: a role of PostgreSQL alone.
    PgOnly,
}

impl IdentityType {
    /// As on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::ServicePrincipal => "SERVICE_PRINCIPAL",
            Self::Group => "GROUP",
            Self::PgOnly => "PG_ONLY",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MembershipRole {
    DatabricksSuperuser,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoleAttributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypassrls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub createdb: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub createrole: Option<bool>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseInstanceRoleList {
    pub database_instance_roles: Vec<DatabaseInstanceRole>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
