//! `lakeport auth profiles`.

use lakeport_client::{Client, ConfigFile, Overrides, Profile, ProfileEntry};
use serde_json::json;

use crate::args::ProfilesArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(context: &Context, args: &ProfilesArgs) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for entry in ConfigFile::load(&context.overrides)?.entries()? {
        let valid = if args.skip_validate { None } else { Some(is_taken(&entry.name).await) };
        rows.push((entry, valid));
    }
    let profiles: Vec<_> = rows
        .iter()
        .map(|(entry, valid)| {
            json!({ "name": entry.name, "host": host(entry), "auth_type": entry.auth_type, "valid": valid })
        })
        .collect();
    context.output.show(&json!({ "profiles": profiles }), |_| {
        output::columns(
            ["NAME", "HOST", "AUTH", "VALID"],
            rows.iter().map(|(entry, valid)| {
                let valid = valid.map_or("", |valid| if valid { "yes" } else { "no" });
                let auth = entry.auth_type.clone().unwrap_or_default();
                [entry.name.clone(), host(entry), auth, valid.to_owned()]
            }),
        )
    })
}

/// The profile alone decides: what the environment says about another server is left out.
async fn is_taken(name: &str) -> bool {
    let overrides = Overrides { profile: Some(name.to_owned()), ..Overrides::default() };
    match Profile::load(&overrides).map(Client::new) {
        Ok(Ok(client)) => client.current_user().await.is_ok(),
        _ => false,
    }
}

fn host(entry: &ProfileEntry) -> String {
    entry
        .host
        .as_ref()
        .map(|host| host.as_str().trim_end_matches('/').to_owned())
        .unwrap_or_default()
}
