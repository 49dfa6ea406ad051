//! Pipelines, of which each synced table has one, alone or with others: updates, events, pauses, schedules.

use lakeport_api::pipeline::{
    EventError, EventException, EventOrigin, EventSequence, ListUpdatesResponse, Pipeline,
    PipelineEvent, StartUpdateRequest, UpdateInfo, UpdateStateInfo,
};
use lakeport_api::{SyncPipeline, SyncSchedule, SyncedTableState};
use lakeport_store::{NewUpdate, PipelineUpdate, Schedule, SyncedTable};
use uuid::Uuid;

use crate::page::PageRequest;
use crate::schedule::first_run;
use crate::synced_table_wire::{Policy, state_name};
use crate::{Control, Error, Page, Result};

const LATEST_UPDATES: i64 = 5;

impl Control {
    async fn pipeline(&self, pipeline_id: &str) -> Result<lakeport_store::Pipeline> {
        let not_found = || Error::not_found("pipeline", pipeline_id);
        let id = Uuid::parse_str(pipeline_id).map_err(|_| not_found())?;
        self.store.pipeline(id).await?.ok_or_else(not_found)
    }

    pub async fn get_pipeline(&self, pipeline_id: &str) -> Result<Pipeline> {
        let pipeline = self.pipeline(pipeline_id).await?;
        let tables = self.store.synced_tables_of_pipeline(pipeline.id).await?;
        let latest = self.store.updates(pipeline.id, i64::MAX, LATEST_UPDATES).await?;
        let running = latest.iter().any(|update| update.finished_at.is_none());
        let told = latest.iter().find(|update| update.finished_at.is_some() || update.has_failed);
        let healthy = told.is_none_or(|update| !update.has_failed);
        let state = if running && pipeline.paused_at.is_none() { "RUNNING" } else { "IDLE" };
        Ok(Pipeline {
            pipeline_id: pipeline.id.to_string(),
            cause: None,
            creator_user_name: Some(pipeline.creator.clone()),
            health: Some(String::from(if healthy { "HEALTHY" } else { "UNHEALTHY" })),
            last_modified: Some(pipeline.created_at.as_millisecond()),
            latest_updates: latest.iter().map(state_info).collect(),
            name: Some(name_of(&tables)),
            run_as_user_name: Some(pipeline.creator),
            state: state.to_owned(),
        })
    }

    pub async fn start_update(
        &self,
        pipeline_id: &str,
        request: &StartUpdateRequest,
    ) -> Result<String> {
        let pipeline = self.pipeline(pipeline_id).await?;
        if request.validate_only == Some(true) {
            return Err(Error::unsupported("validate_only: it is not supported; leave it out"));
        }
        if pipeline.paused_at.is_some() {
            return Err(Error::precondition(format!(
                "pipeline \"{pipeline_id}\" is paused; resume it, which also does what is waiting"
            )));
        }
        let tables = self.store.synced_tables_of_pipeline(pipeline.id).await?;
        let update = NewUpdate {
            pipeline: pipeline.id,
            cause: request.cause.as_deref().unwrap_or("API_CALL"),
            tables: &selected(&tables, request)?,
            // A continuous pipeline has one update, which never ends by itself.
            replace: Policy::of(&pipeline.policy) == Some(Policy::Continuous),
        };
        let update = self.store.add_update(&update).await?;
        self.wake.notify_one();
        Ok(update.to_string())
    }

    pub async fn get_sync_pipeline(&self, pipeline_id: &str) -> Result<SyncPipeline> {
        let pipeline = self.pipeline(pipeline_id).await?;
        let tables = self.store.synced_tables_of_pipeline(pipeline.id).await?;
        Ok(SyncPipeline {
            pipeline_id: pipeline.id.to_string(),
            scheduling_policy: pipeline.policy,
            paused: pipeline.paused_at.is_some(),
            paused_at: pipeline.paused_at.map(|at| at.to_string()),
            schedule: pipeline.schedule.map(|schedule| SyncSchedule {
                cron: schedule.cron,
                timezone: Some(schedule.timezone),
            }),
            next_run: pipeline.next_run.map(|at| at.to_string()),
            synced_tables: tables.into_iter().map(|table| table.name).collect(),
        })
    }

    /// Pauses a pipeline, or lets it go on. What is under way ends at a whole version and goes on when
    /// the pipeline does.
    pub async fn set_pipeline_paused(
        &self,
        pipeline_id: &str,
        paused: bool,
    ) -> Result<SyncPipeline> {
        let pipeline = self.pipeline(pipeline_id).await?;
        self.store.set_pipeline_paused(pipeline.id, paused).await?;
        self.wake.notify_one();
        self.get_sync_pipeline(pipeline_id).await
    }

    pub async fn set_pipeline_schedule(
        &self,
        pipeline_id: &str,
        schedule: Option<&SyncSchedule>,
    ) -> Result<SyncPipeline> {
        let pipeline = self.pipeline(pipeline_id).await?;
        let schedule = schedule.map(|schedule| Schedule {
            cron: schedule.cron.trim().to_owned(),
            timezone: schedule.timezone.clone().unwrap_or_else(|| String::from("UTC")),
        });
        if schedule.is_some() && Policy::of(&pipeline.policy) == Some(Policy::Continuous) {
            let problem = "a continuous pipeline follows its sources by itself and has no schedule";
            return Err(Error::precondition(problem));
        }
        let first = schedule.as_ref().map(first_run).transpose()?;
        self.store.set_pipeline_schedule(pipeline.id, schedule.as_ref().zip(first)).await?;
        self.get_sync_pipeline(pipeline_id).await
    }

    pub async fn get_update(&self, pipeline_id: &str, update_id: &str) -> Result<UpdateInfo> {
        let pipeline = self.pipeline(pipeline_id).await?;
        let not_found = || Error::not_found("update", update_id);
        let id = Uuid::parse_str(update_id).map_err(|_| not_found())?;
        let update = self.store.update_of(pipeline.id, id).await?;
        update.as_ref().map(update_info).ok_or_else(not_found)
    }

    pub async fn list_updates(
        &self,
        pipeline_id: &str,
        max_results: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<ListUpdatesResponse> {
        let pipeline = self.pipeline(pipeline_id).await?;
        let list = format!("updates of {}", pipeline.id);
        let request = PageRequest::new(&self.vault, list, max_results, page_token)?;
        let before = request.after.parse().unwrap_or(i64::MAX);
        let rows = self.store.updates(pipeline.id, before, request.limit()).await?;
        let page = request.page(rows, |update| update.seq.to_string());
        Ok(ListUpdatesResponse {
            updates: page.items.iter().map(update_info).collect(),
            next_page_token: page.next_page_token,
            prev_page_token: None,
        })
    }

    /// Events of the pipeline, the newest first unless `order_by` asks for `timestamp asc`.
    pub async fn list_events(
        &self,
        pipeline_id: &str,
        order_by: Option<&str>,
        max_results: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<PipelineEvent>> {
        let pipeline = self.pipeline(pipeline_id).await?;
        let ascending = match order_by.map(str::trim) {
            None | Some("" | "timestamp desc") => false,
            Some("timestamp asc" | "timestamp") => true,
            Some(other) => {
                return Err(Error::invalid(
                    "order_by",
                    format!(
                        "\"{other}\" is not supported; use \"timestamp asc\" or \"timestamp desc\""
                    ),
                ));
            }
        };
        let list = format!("events of {} {ascending}", pipeline.id);
        let request = PageRequest::new(&self.vault, list, max_results, page_token)?;
        let start = if ascending { 0 } else { i64::MAX };
        let cursor = request.after.parse().unwrap_or(start);
        let rows = self.store.events(pipeline.id, cursor, ascending, request.limit()).await?;
        let page = request.page(rows, |event| event.seq.to_string());
        let items = page.items.into_iter().map(event).collect();
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    /// Cancels what has not ended. A run notices, rolls back and leaves the table as it was.
    pub async fn stop_pipeline(&self, pipeline_id: &str) -> Result<()> {
        let pipeline = self.pipeline(pipeline_id).await?;
        let offline = state_name(SyncedTableState::Provisioning);
        let online = state_name(SyncedTableState::OnlineNoPendingUpdate);
        self.store.cancel_updates(pipeline.id, &offline, &online).await?;
        Ok(())
    }
}

fn name_of(tables: &[SyncedTable]) -> String {
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    format!("Synced table: {}", names.join(", "))
}

/// The tables that an update is for, each with whether all of it is to be read. Selections name tables by
/// their three-part names or by the last part.
fn selected(tables: &[SyncedTable], request: &StartUpdateRequest) -> Result<Vec<(Uuid, bool)>> {
    let refresh = request.refresh_selection.as_deref().unwrap_or_default();
    let full = request.full_refresh_selection.as_deref().unwrap_or_default();
    let is = |table: &SyncedTable, name: &str| table.name == name || table.table_name == name;
    for (field, names) in [("refresh_selection", refresh), ("full_refresh_selection", full)] {
        if let Some(unknown) = names.iter().find(|name| !tables.iter().any(|t| is(t, name))) {
            let problem = format!("the pipeline has no synced table \"{unknown}\"");
            return Err(Error::invalid(field, problem));
        }
    }
    let all = refresh.is_empty() && full.is_empty();
    let everything = request.full_refresh.unwrap_or_default();
    let chosen = tables.iter().filter_map(|table| {
        let whole = full.iter().any(|name| is(table, name));
        let wanted = all || whole || refresh.iter().any(|name| is(table, name));
        wanted.then_some((table.id, everything || whole))
    });
    Ok(chosen.collect())
}

fn state_info(update: &PipelineUpdate) -> UpdateStateInfo {
    UpdateStateInfo {
        creation_time: update.created_at.to_string(),
        state: update.state.clone(),
        update_id: update.id.to_string(),
    }
}

fn update_info(update: &PipelineUpdate) -> UpdateInfo {
    UpdateInfo {
        cause: update.cause.clone(),
        creation_time: update.created_at.as_millisecond(),
        full_refresh: update.full_refresh,
        pipeline_id: update.pipeline_id.to_string(),
        state: update.state.clone(),
        update_id: update.id.to_string(),
    }
}

fn event(event: lakeport_store::PipelineEvent) -> PipelineEvent {
    let error = (event.level == "ERROR").then(|| EventError {
        fatal: true,
        exceptions: vec![EventException {
            class_name: String::from("SyncFailed"),
            message: event.message.clone(),
        }],
    });
    PipelineEvent {
        error,
        event_type: event.event_type,
        id: event.id.to_string(),
        level: event.level,
        maturity_level: String::from("STABLE"),
        message: event.message,
        origin: EventOrigin {
            pipeline_id: event.pipeline_id.to_string(),
            update_id: event.update_id.map(|id| id.to_string()),
        },
        sequence: EventSequence { control_plane_seq_no: event.seq },
        timestamp: event.at.to_string(),
    }
}
