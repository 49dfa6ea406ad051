//! `generate_lakebase_credential`: a PostgreSQL password for one hour.
//!
//! The token is in the answer, because that is what was asked for; `lakebase_connect` gives a connection
//! without one.

use lakeport_api::GenerateCredentialRequest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Hints, Tool};
use crate::Access;
use crate::call::{Call, Result};
use crate::failure::{Failure, code};

pub(super) struct GenerateCredential;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Instances that the token opens
    instance_names: Option<Vec<String>>,
    /// Endpoint of an autoscaling project; not served here
    endpoint: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    instance_names: Vec<String>,
    /// The password; a secret
    token: String,
    /// RFC 3339
    expiration_time: String,
    message: String,
}

impl Tool for GenerateCredential {
    const NAME: &str = "generate_lakebase_credential";
    const TITLE: &str = "Generate a database credential";
    const DESCRIPTION: &str = "Makes a PostgreSQL password for instances: a token that is good for one \
        hour, for the caller's own role, over TLS only. Keep it out of files and logs. For queries use \
        lakebase_query, which needs none.";
    const NEEDS: Access = Access::Manage;
    const HINTS: Hints = Hints { read_only: false, destructive: false, idempotent: false };
    type Arguments = Arguments;
    type Output = Output;

    async fn run(call: &Call, arguments: Arguments) -> Result<Output> {
        let instance_names = names(arguments)?;
        let request = GenerateCredentialRequest {
            instance_names: Some(instance_names.clone()),
            request_id: Some(Uuid::new_v4().to_string()),
            ..GenerateCredentialRequest::default()
        };
        let credential = call.client().generate_database_credential(&request).await?.into_inner();
        Ok(Output {
            instance_names,
            token: credential.token,
            expiration_time: credential.expiration_time,
            message: String::from(
                "Use it as the PostgreSQL password, with sslmode=require and the caller's user name; \
                 a session that is open when it expires stays open.",
            ),
        })
    }
}

fn names(arguments: Arguments) -> Result<Vec<String>, Failure> {
    match (arguments.instance_names, arguments.endpoint) {
        (Some(names), _) if !names.is_empty() => Ok(names),
        (None, Some(_)) => Err(autoscale("endpoint")),
        _ => Err(Failure::invalid(
            "Provide either instance_names (provisioned) or endpoint (autoscale).",
        )),
    }
}

/// What belongs to the other kind of Lakebase.
pub(super) fn autoscale(field: &str) -> Failure {
    let message = format!("{field}: autoscaling projects are not supported here");
    Failure::new(code::UNSUPPORTED, message).hint("use provisioned instances")
}
