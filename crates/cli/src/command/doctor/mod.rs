//! `lakeport doctor`: goes the way of a connection step by step, and stops where it leads no further.
//!
//! Owns: the steps. Never: mending anything itself.

mod login;
mod report;
mod rights;

use std::process::ExitCode;

use lakeport_api::InstanceState;
use lakeport_client::{Client, Credentials, Endpoint, Error};
use tokio::net::lookup_host;

use self::report::Report;
use crate::args::DoctorArgs;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    // How far it went is in the report.
    let _ = examine(context, args, &mut report).await;
    context.output.show(&report, Report::text)?;
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A step that ends the examination; the report says why.
struct Stop;

async fn examine(context: &Context, args: &DoctorArgs, report: &mut Report) -> Result<(), Stop> {
    let client = configuration(context, report)?;
    server(&client, report).await?;
    let Some(name) = &args.name else { return Ok(()) };
    let endpoint = instance(&client, name, args, report).await?;
    host_name(&endpoint, report).await?;
    credential(&endpoint, report).await?;
    let session = login::open(&endpoint, &args.database, report).await?;
    let role = args.role.as_deref().unwrap_or(endpoint.user());
    rights::examine(&session, &endpoint, role, args, report).await
}

fn configuration(context: &Context, report: &mut Report) -> Result<Client, Stop> {
    let step = "configuration";
    let profile = context.profile().map_err(|failure| report.stop_for(step, &failure))?;
    let kind = match &profile.credentials {
        Credentials::Token(_) => "a token",
        Credentials::Machine { .. } => "a client secret",
        Credentials::Login { .. } => "a login by browser",
    };
    report.well(step, format!("{} with {kind}", profile.host.as_str().trim_end_matches('/')));
    Client::new(profile).map_err(|error| report.stop_for(step, &error.into()))
}

async fn server(client: &Client, report: &mut Report) -> Result<(), Stop> {
    let step = "server";
    match client.current_user().await {
        Ok(user) => report.well(step, format!("it knows the caller as {}", user.user_name)),
        Err(error) => return Err(report.stop_for(step, &error.into())),
    }
    Ok(())
}

async fn instance(
    client: &Client,
    name: &str,
    args: &DoctorArgs,
    report: &mut Report,
) -> Result<Endpoint, Stop> {
    let step = "instance";
    let endpoint = match client.endpoint(name, args.port.port).await {
        Ok(endpoint) => endpoint,
        // What a caller may not see is answered like what is not there.
        Err(error) if error.is_not_found() => {
            return Err(report.stop(
                step,
                error.to_string(),
                "lakeport instance list shows those that you may see; a manager of another gives you \
                 the permission CAN_USE on it",
            ));
        }
        Err(error) => return Err(report.stop_for(step, &with_command(error, name))),
    };
    report.well(step, format!("`{}` is AVAILABLE", endpoint.instance()));
    Ok(endpoint)
}

fn with_command(error: Error, name: &str) -> Failure {
    match error {
        Error::NotAvailable { state: InstanceState::Starting, .. } => {
            Failure::new(format!("instance `{name}` is still starting"))
                .hint(format!("lakeport instance get {name} shows when it is AVAILABLE"))
        }
        other => other.into(),
    }
}

async fn host_name(endpoint: &Endpoint, report: &mut Report) -> Result<(), Stop> {
    let step = "host name";
    let target = endpoint.target();
    match lookup_host((target.host.as_str(), target.port)).await {
        Ok(mut addresses) => {
            let address = addresses.next().map(|address| address.ip().to_string());
            report.well(step, format!("{} leads to {}", target.host, address.unwrap_or_default()));
            Ok(())
        }
        Err(error) => Err(report.stop(
            step,
            format!("{} does not resolve: {error}", target.host),
            "point a wildcard DNS record at the server, or give libpq the address beside the name: \
             hostaddr=ADDRESS",
        )),
    }
}

async fn credential(endpoint: &Endpoint, report: &mut Report) -> Result<(), Stop> {
    let step = "credential";
    match endpoint.passwords().get().await {
        Ok(_) => report.well(step, String::from("the server gives a token for one hour")),
        Err(error) => return Err(report.stop_for(step, &error.into())),
    }
    Ok(())
}
