//! `lakeport auth …`: ways to log in.

mod login;
mod profiles;

use lakeport_client::{Credentials, Profile};
use serde_json::json;

use crate::args::AuthCommand;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, command: AuthCommand) -> Result<(), Failure> {
    match command {
        AuthCommand::Login(args) => login::login(context, &args).await,
        AuthCommand::Logout => login::logout(context).await,
        AuthCommand::Token => token(context).await,
        AuthCommand::Profiles(args) => profiles::run(context, &args).await,
        AuthCommand::LoginLink(args) => login_link(context, &args.user).await,
    }
}

async fn login_link(context: &Context, user: &str) -> Result<(), Failure> {
    let link = context.client()?.create_login_link(user).await?;
    context.output.show_text(&link, |link| link.url.clone())
}

/// In the official command line's form, which other tools read: `databricks auth token`.
async fn token(context: &Context) -> Result<(), Failure> {
    let profile = context.profile()?;
    if let Credentials::Token(_) = profile.credentials {
        return Err(Failure::new("the profile holds a personal token, which is used as it is")
            .hint("log in by browser: lakeport auth login"));
    }
    let (token, expiry) = live(profile).await?;
    let mut answer = json!({ "access_token": token, "token_type": "Bearer" });
    if let Some(expiry) = expiry {
        answer["expiry"] = expiry.to_string().into();
    }
    context.output.show_json(&answer, |_| token.clone())
}

async fn live(profile: Profile) -> Result<(String, Option<jiff::Timestamp>), Failure> {
    let client = lakeport_client::Client::new(profile)?;
    let minted = client.access_token().await?;
    let expiry = jiff::SignedDuration::try_from(minted.lives)
        .ok()
        .and_then(|lives| jiff::Timestamp::now().checked_add(lives).ok());
    Ok((minted.token.expose().to_owned(), expiry))
}
