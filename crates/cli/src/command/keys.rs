//! `lakeport keys …`: the keys of the server.

use crate::args::KeysCommand;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, command: KeysCommand) -> Result<(), Failure> {
    match command {
        KeysCommand::Rotate => rotate(context).await,
    }
}

async fn rotate(context: &Context) -> Result<(), Failure> {
    let key = context.client()?.rotate_signing_key().await?;
    context.output.show(&key, |key| format!("Tokens are signed with key {} now.", key.kid))
}
