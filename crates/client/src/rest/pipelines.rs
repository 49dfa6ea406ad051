//! Pipelines, of which each synced table has one, alone or with others.

use lakeport_api::pipeline::{
    GetUpdateResponse, Pipeline, PipelineEvent, StartUpdateRequest, StartUpdateResponse,
};

use super::{Paging, list};
use crate::http::Call;
use crate::{Client, Document, Result};

const PIPELINES: [&str; 3] = ["api", "2.0", "pipelines"];

impl Client {
    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_pipeline(&self, id: &str) -> Result<Document<Pipeline>> {
        let path = PIPELINES.into_iter().chain([id]);
        self.fetch(Call::get(format!("get pipeline `{id}`"), path)).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn start_pipeline_update(
        &self,
        id: &str,
        request: &StartUpdateRequest,
    ) -> Result<Document<StartUpdateResponse>> {
        let path = PIPELINES.into_iter().chain([id, "updates"]);
        let operation = format!("start an update of pipeline `{id}`");
        self.fetch(Call::post(operation, path, request)?).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_pipeline_update(
        &self,
        id: &str,
        update: &str,
    ) -> Result<Document<GetUpdateResponse>> {
        let path = PIPELINES.into_iter().chain([id, "updates", update]);
        self.fetch(Call::get(format!("get update `{update}` of pipeline `{id}`"), path)).await
    }

    /// The newest first.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn list_pipeline_events(
        &self,
        id: &str,
        paging: &Paging,
    ) -> Result<Vec<Document<PipelineEvent>>> {
        let call = || {
            let path = PIPELINES.into_iter().chain([id, "events"]);
            Call::get(format!("list the events of pipeline `{id}`"), path)
        };
        list(self, "events", "max_results", paging, call).await
    }
}
