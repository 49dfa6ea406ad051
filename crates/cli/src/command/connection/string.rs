//! `lakeport connection-string NAME`.

use serde_json::json;

use super::{endpoint, url};
use crate::args::ConnectionStringArgs;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, args: &ConnectionStringArgs) -> Result<(), Failure> {
    let endpoint = endpoint(context, &args.connection).await?;
    let token = match args.no_token {
        true => None,
        false => Some(endpoint.passwords().get().await?),
    };
    let token = token.as_ref().map(lakeport_client::Token::expose);
    let url = url(&endpoint, token, &args.connection.database);
    context.output.show_text(&json!({ "connection_string": url }), |_| url.clone())
}
