//! Apps: `/api/2.0/apps`, and under `/api/2.0/lakeport/apps` the runs of them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An app. What the client has set ([`AppFields`]) comes back as it was set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct App {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deployment: Option<AppDeployment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_status: Option<AppStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_policy_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_max_instances: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_min_instances: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_status: Option<ComputeStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_source_code_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_budget_policy_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_usage_policy_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_user_api_scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_user_access_token: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_repository: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_deployment: Option<AppDeployment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<AppResource>>,
    /// The application id of the service principal, and the name of its PostgreSQL role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_principal_client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_principal_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_principal_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telemetry_export_destinations: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updater: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_policy_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_api_scopes: Option<Vec<String>>,
}

/// The part of an app that its client sets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_policy_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_max_instances: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_min_instances: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_user_access_token: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_repository: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<AppResource>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telemetry_export_destinations: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_policy_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_api_scopes: Option<Vec<String>>,
}

/// Something that an app may use; of the many kinds, exactly one is given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppResource {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<AppDatabase>,
    /// Kinds other than `database`, by their names.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppDatabase {
    /// Its name or its DNS name.
    pub instance_name: String,
    pub database_name: String,
    pub permission: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppStatus {
    /// RUNNING, DEPLOYING, CRASHED or UNAVAILABLE.
    pub state: String,
    #[serde(default)]
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeStatus {
    /// ACTIVE, STARTING, STOPPED, STOPPING, UPDATING, DELETING or ERROR.
    pub state: String,
    #[serde(default)]
    pub message: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AppList {
    pub apps: Vec<App>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// `POST /apps/{name}/update`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct AppUpdateRequest {
    pub app: Option<App>,
    pub update_mask: Option<String>,
}

/// The latest update of an app.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AppUpdate {
    #[serde(flatten)]
    pub spec: AppFields,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AppStatus>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppDeployment {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_artifacts: Option<DeploymentArtifacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_vars: Option<Vec<AppVariable>>,
    /// SNAPSHOT or AUTO_SYNC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_code_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<AppStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_time: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeploymentArtifacts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_code_path: Option<String>,
}

/// A variable of an app's environment: a value, or the key of a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppVariable {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AppDeploymentList {
    pub app_deployments: Vec<AppDeployment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A new run of an app, with what its process logs in with.
#[derive(Clone, Serialize, Deserialize)]
pub struct AppRun {
    pub run_id: String,
    pub client_id: String,
    pub client_secret: String,
}

impl fmt::Debug for AppRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppRun").field("run_id", &self.run_id).finish_non_exhaustive()
    }
}

/// What a run tells of itself, every few seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppRunReport {
    /// STARTING, RUNNING, CRASHED or STOPPED.
    pub state: String,
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A deployment of which the end is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentReport>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeploymentReport {
    pub deployment_id: String,
    pub succeeded: bool,
    pub message: String,
}

/// What a run is to do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppRunOrders {
    pub stopped: bool,
    /// The deployment to run: one that is in progress, else the active one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<AppDeployment>,
    /// The one to go back to if that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_deployment: Option<AppDeployment>,
    /// What the platform puts into the environment, but for the secret, the port and the host.
    pub environment: BTreeMap<String, String>,
    /// What `valueFrom` gives for each resource.
    pub resources: BTreeMap<String, String>,
}
