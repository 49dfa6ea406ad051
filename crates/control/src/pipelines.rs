//! Pipelines, of which each synced table has one: updates and events.

use lakeport_api::SyncedTableState;
use lakeport_api::pipeline::{
    EventError, EventException, EventOrigin, EventSequence, ListUpdatesResponse, Pipeline,
    PipelineEvent, StartUpdateRequest, UpdateInfo, UpdateStateInfo,
};
use lakeport_store::{PipelineUpdate, SyncedTable};
use uuid::Uuid;

use crate::page::PageRequest;
use crate::synced_table_wire::{Policy, policy_of, state_name};
use crate::{Control, Error, Page, Result};

const LATEST_UPDATES: i64 = 5;

impl Control {
    async fn pipeline_table(&self, pipeline_id: &str) -> Result<SyncedTable> {
        let not_found = || Error::not_found("pipeline", pipeline_id);
        let id = Uuid::parse_str(pipeline_id).map_err(|_| not_found())?;
        self.store.synced_table_by_pipeline(id).await?.ok_or_else(not_found)
    }

    pub async fn get_pipeline(&self, pipeline_id: &str) -> Result<Pipeline> {
        let table = self.pipeline_table(pipeline_id).await?;
        let latest = self.store.updates(table.pipeline_id, i64::MAX, LATEST_UPDATES).await?;
        let running = latest.iter().any(|update| update.finished_at.is_none());
        let failed = latest.iter().find(|update| update.finished_at.is_some());
        let healthy = failed.is_none_or(|update| update.state != "FAILED");
        Ok(Pipeline {
            pipeline_id: table.pipeline_id.to_string(),
            cause: None,
            creator_user_name: Some(table.creator.clone()),
            health: Some(String::from(if healthy { "HEALTHY" } else { "UNHEALTHY" })),
            last_modified: Some(table.created_at.as_millisecond()),
            latest_updates: latest.iter().map(state_info).collect(),
            name: Some(format!("Synced table: {}", table.name)),
            run_as_user_name: Some(table.creator),
            state: String::from(if running { "RUNNING" } else { "IDLE" }),
        })
    }

    pub async fn start_update(
        &self,
        pipeline_id: &str,
        request: &StartUpdateRequest,
    ) -> Result<String> {
        let table = self.pipeline_table(pipeline_id).await?;
        if request.validate_only == Some(true) {
            return Err(Error::unsupported("validate_only: it is not supported; leave it out"));
        }
        let cause = request.cause.as_deref().unwrap_or("API_CALL");
        let full = request.full_refresh.unwrap_or_default()
            || request.full_refresh_selection.as_ref().is_some_and(|list| !list.is_empty());
        let pipeline = table.pipeline_id;
        // A continuous pipeline has one update, which never ends by itself.
        let update = if policy_of(&table) == Policy::Continuous {
            self.store.replace_updates(pipeline, cause, full).await?
        } else {
            self.store.add_update(pipeline, cause, full).await?
        };
        self.wake.notify_one();
        Ok(update.id.to_string())
    }

    pub async fn get_update(&self, pipeline_id: &str, update_id: &str) -> Result<UpdateInfo> {
        let table = self.pipeline_table(pipeline_id).await?;
        let not_found = || Error::not_found("update", update_id);
        let id = Uuid::parse_str(update_id).map_err(|_| not_found())?;
        let update = self.store.update_of(table.pipeline_id, id).await?;
        update.as_ref().map(update_info).ok_or_else(not_found)
    }

    pub async fn list_updates(
        &self,
        pipeline_id: &str,
        max_results: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<ListUpdatesResponse> {
        let table = self.pipeline_table(pipeline_id).await?;
        let list = format!("updates of {}", table.pipeline_id);
        let request = PageRequest::new(&self.vault, list, max_results, page_token)?;
        let before = request.after.parse().unwrap_or(i64::MAX);
        let rows = self.store.updates(table.pipeline_id, before, request.limit()).await?;
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
        let table = self.pipeline_table(pipeline_id).await?;
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
        let list = format!("events of {} {ascending}", table.pipeline_id);
        let request = PageRequest::new(&self.vault, list, max_results, page_token)?;
        let start = if ascending { 0 } else { i64::MAX };
        let cursor = request.after.parse().unwrap_or(start);
        let rows = self.store.events(table.pipeline_id, cursor, ascending, request.limit()).await?;
        let page = request.page(rows, |event| event.seq.to_string());
        let items = page.items.into_iter().map(event).collect();
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    /// Cancels what has not ended. A run notices, rolls back and leaves the table as it was.
    pub async fn stop_pipeline(&self, pipeline_id: &str) -> Result<()> {
        let table = self.pipeline_table(pipeline_id).await?;
        let offline = state_name(SyncedTableState::Provisioning);
        let online = state_name(SyncedTableState::OnlineNoPendingUpdate);
        self.store.cancel_updates(table.pipeline_id, &offline, &online).await?;
        Ok(())
    }
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
