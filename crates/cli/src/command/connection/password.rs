//! `lakeport password NAME`: the token alone, for `PGPASSWORD=$(…)` and password commands.

use serde_json::json;

use super::endpoint;
use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, args: &ConnectionArgs) -> Result<(), Failure> {
    let password = endpoint(context, args).await?.passwords().get().await?;
    let password = password.expose();
    context.output.show_text(&json!({ "password": password }), |_| password.to_owned())
}
