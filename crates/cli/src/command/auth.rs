//! `lakeport auth …`: ways to log in.

use crate::args::AuthCommand;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, command: AuthCommand) -> Result<(), Failure> {
    match command {
        AuthCommand::LoginLink(args) => login_link(context, &args.user).await,
    }
}

async fn login_link(context: &Context, user: &str) -> Result<(), Failure> {
    let link = context.client()?.create_login_link(user).await?;
    context.output.show_text(&link, |link| link.url.clone())
}
