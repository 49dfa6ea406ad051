//! `lakeport sync trigger`: an update of a synced table's pipeline, to its end.

use std::time::Duration;

use lakeport_api::pipeline::{StartUpdateRequest, UpdateInfo};
use lakeport_client::{Client, Document};
use tokio::time::{Instant, sleep};

use super::pipeline_of;
use crate::args::TriggerArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn run(context: &Context, args: &TriggerArgs) -> Result<(), Failure> {
    let (client, name) = (context.client()?, args.name.get());
    let pipeline = pipeline_of(&client, name).await?;
    let update = client.start_pipeline_update(&pipeline, &request(args)).await?.update_id.clone();
    let deadline = Instant::now() + args.wait.timeout;
    let line = context.output.status_line();
    loop {
        let info = find(&client, &pipeline, &update).await?;
        let ended = is_ended(&info.state);
        if ended || args.wait.no_wait || follows(&client, name, &info).await? {
            drop(line);
            context.output.show(&info, view)?;
            return match info.state.as_str() {
                "FAILED" => Err(failed(&client, name).await?),
                "CANCELED" => Err(Failure::new(format!("update {update} was cancelled"))),
                _ => Ok(()),
            };
        }
        if Instant::now() > deadline {
            return Err(Failure::new(format!("update {update} is {} still", info.state))
                .hint("it goes on; `lakeport sync watch` tells how"));
        }
        line.update(&format!("update {update}: {}", info.state));
        sleep(LOOK).await;
    }
}

/// One table of the pipeline, unless all are asked for.
fn request(args: &TriggerArgs) -> StartUpdateRequest {
    let name = args.name.get().to_owned();
    let mut request = StartUpdateRequest::default();
    match (args.all, args.full_refresh) {
        (true, full) => request.full_refresh = Some(full),
        (false, true) => request.full_refresh_selection = Some(vec![name]),
        (false, false) => request.refresh_selection = Some(vec![name]),
    }
    request
}

async fn find(
    client: &Client,
    pipeline: &str,
    update: &str,
) -> Result<Document<UpdateInfo>, Failure> {
    let answer = client.get_pipeline_update(pipeline, update).await?;
    Document::parse(answer.json()["update"].clone())
        .map_err(Failure::while_doing("read the update"))
}

fn is_ended(state: &str) -> bool {
    matches!(state, "COMPLETED" | "FAILED" | "CANCELED")
}

/// The update of a continuous pipeline never ends: it is done when the table follows its source.
async fn follows(client: &Client, name: &str, update: &UpdateInfo) -> Result<bool, Failure> {
    let table = client.get_synced_database_table(name).await?;
    let policy = table.spec.as_ref().and_then(|spec| spec.scheduling_policy.as_deref());
    if policy != Some("CONTINUOUS") || update.state != "RUNNING" {
        return Ok(false);
    }
    Ok(matches!(super::status::ended(&table), Some(Ok(()))))
}

async fn failed(client: &Client, name: &str) -> Result<Failure, Failure> {
    let table = client.get_synced_database_table(name).await?;
    let status = table.data_synchronization_status.clone().unwrap_or_default();
    Ok(Failure::new(format!("the update failed: {}", status.message.unwrap_or_default()))
        .hint(format!("lakeport sync history {name} tells what came before")))
}

fn view(update: &Document<UpdateInfo>) -> String {
    output::fields([
        ("update", Some(update.update_id.clone())),
        ("state", Some(update.state.clone())),
        ("full refresh", Some(update.full_refresh.to_string())),
    ])
}
