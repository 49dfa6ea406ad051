//! One-hour PostgreSQL passwords.

use lakeport_api::GenerateCredentialRequest;
use uuid::Uuid;

use crate::args::CredentialArgs;
use crate::body;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, args: CredentialArgs) -> Result<(), Failure> {
    let flags = GenerateCredentialRequest {
        instance_names: args.instance_names,
        request_id: args.request_id,
        ..GenerateCredentialRequest::default()
    };
    let mut body = body::merge(&flags, args.json.as_deref())?;
    body.entry("request_id").or_insert_with(|| Uuid::new_v4().to_string().into());
    if !body.contains_key("instance_names") && !body.contains_key("claims") {
        return Err(Failure::usage("neither instance_names nor claims are given")
            .hint("name the instances: --instance-names NAME, or --json"));
    }
    let credential = context.client()?.generate_database_credential(&body).await?;
    context.output.show(&credential, |credential| credential.token.clone())?;
    context.output.note(&format!("valid for logins until {}", credential.expiration_time));
    Ok(())
}
