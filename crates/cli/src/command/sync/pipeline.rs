//! Pauses, schedules and settings: what only Lakeport has.

use lakeport_api::{SyncPipeline, SyncSchedule, SyncSettings};
use lakeport_client::Document;

use super::pipeline_of;
use crate::args::{NullBytesArg, ScheduleArgs, SettingsArgs};
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

pub(super) async fn pause(context: &Context, name: &str) -> Result<(), Failure> {
    let client = context.client()?;
    let pipeline = pipeline_of(&client, name).await?;
    show(context, &client.pause_sync_pipeline(&pipeline).await?)
}

pub(super) async fn resume(context: &Context, name: &str) -> Result<(), Failure> {
    let client = context.client()?;
    let pipeline = pipeline_of(&client, name).await?;
    show(context, &client.resume_sync_pipeline(&pipeline).await?)
}

pub(super) async fn schedule(context: &Context, args: &ScheduleArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let pipeline = pipeline_of(&client, &args.name).await?;
    let pipeline = match &args.cron {
        Some(cron) => {
            let timezone = Some(args.timezone.clone());
            let schedule = SyncSchedule { cron: cron.clone(), timezone };
            client.set_sync_schedule(&pipeline, &schedule).await?
        }
        None if args.remove => client.remove_sync_schedule(&pipeline).await?,
        None => client.get_sync_pipeline(&pipeline).await?,
    };
    show(context, &pipeline)
}

pub(super) async fn settings(context: &Context, args: &SettingsArgs) -> Result<(), Failure> {
    let (client, name) = (context.client()?, args.name.get());
    let changes = SyncSettings {
        null_characters: args.null_bytes.map(|policy| {
            String::from(match policy {
                NullBytesArg::Fail => "FAIL",
                NullBytesArg::Strip => "STRIP",
                NullBytesArg::Replace => "REPLACE",
            })
        }),
        reload_share: args.reload_share,
        swap_share: args.swap_share,
        reload_on_gap: args.reload_on_gap,
        memory_bytes: args.memory.map(|mib| i64::from(mib) * 1024 * 1024),
    };
    let settings = if changes == SyncSettings::default() {
        client.get_sync_settings(name).await?
    } else {
        client.update_sync_settings(name, &changes).await?
    };
    context.output.show(&settings, |settings| {
        let usual = || String::from("as usual");
        let or_usual = |value: Option<String>| Some(value.unwrap_or_else(usual));
        let memory = settings.memory_bytes.map(|bytes| format!("{} MiB", bytes / 1024 / 1024));
        output::fields([
            ("null characters", or_usual(settings.null_characters.clone())),
            ("reload share", or_usual(settings.reload_share.map(|share| share.to_string()))),
            (
                "swap share",
                Some(settings.swap_share.map_or_else(|| String::from("never"), |s| s.to_string())),
            ),
            ("reload on gap", or_usual(settings.reload_on_gap.map(|on| on.to_string()))),
            ("memory", or_usual(memory)),
        ])
    })
}

fn show(context: &Context, pipeline: &Document<SyncPipeline>) -> Result<(), Failure> {
    context.output.show(pipeline, |pipeline| {
        let schedule = pipeline.schedule.as_ref();
        output::fields([
            ("pipeline", Some(pipeline.pipeline_id.clone())),
            ("policy", Some(pipeline.scheduling_policy.clone())),
            ("paused since", pipeline.paused_at.clone()),
            ("schedule", schedule.map(|schedule| schedule.cron.clone())),
            ("time zone", schedule.and_then(|schedule| schedule.timezone.clone())),
            ("next run", pipeline.next_run.clone()),
            ("synced tables", Some(pipeline.synced_tables.join(", "))),
        ])
    })
}
