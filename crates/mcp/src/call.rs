//! One call of a tool: who makes it, what it may reach, and how it hears of progress.
//!
//! Owns: waiting, and the two ways of asking the person in front of the client. Never: what is asked.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lakeport_client::{Client, Error};
use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
    InputRequest, InputRequiredResult, JsonObject, ProgressNotificationParam, ProtocolVersion,
};
use rmcp::service::RequestContext;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::busy::Busy;
use crate::confirm::Plans;
use crate::failure::{Failure, code};
use crate::sql::Cursors;
use crate::tool::Doors;
use crate::{Caller, Settings};

/// What all calls of one server share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) plans: Plans,
    pub(crate) cursors: Cursors,
    pub(crate) doors: Doors,
    pub(crate) busy: Busy,
}

impl Shared {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            plans: Plans::default(),
            cursors: Cursors::default(),
            doors: Doors::default(),
            busy: Busy::default(),
        }
    }
}

pub(crate) struct Call {
    pub(crate) caller: Caller,
    pub(crate) shared: Arc<Shared>,
    /// As they came, for what is bound to them.
    pub(crate) arguments: JsonObject,
    context: RequestContext<RoleServer>,
    answers: Option<Answers>,
    steps: AtomicU64,
}

/// What a client of the newest protocol sends along when it repeats a call that asked something.
struct Answers {
    state: String,
    form: Value,
}

/// Why a call ends without a result.
pub(crate) enum Stop {
    Failed(Failure),
    /// The client is to ask its user, and to call again with the answer.
    Ask(Box<InputRequiredResult>),
}

pub(crate) type Result<T, E = Stop> = std::result::Result<T, E>;

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

/// The one question of a form.
const FORM: &str = "confirm";
const FIRST_POLL: Duration = Duration::from_millis(100);
const SLOWEST_POLL: Duration = Duration::from_secs(2);

impl Call {
    pub(crate) fn new(
        caller: Caller,
        shared: Arc<Shared>,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Self {
        let form = request.input_responses.and_then(|mut answers| answers.remove(FORM));
        let answers = request.request_state.zip(form);
        Self {
            caller,
            shared,
            arguments: request.arguments.unwrap_or_default(),
            context,
            answers: answers.map(|(state, form)| Answers { state, form }),
            steps: AtomicU64::new(0),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        self.caller.client()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Tells the client, if it wants to know. Values rise, as the protocol demands.
    pub(crate) async fn progress(&self, message: String) {
        let Some(token) = self.context.meta.get_progress_token() else { return };
        let step = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        let progress = ProgressNotificationParam::new(token, step as f64).with_message(message);
        // A client that is gone is noticed where its answer is sent.
        let _ = self.context.peer.notify_progress(progress).await;
    }

    /// Looks until `is_done` or the time is over, and gives what was seen last.
    pub(crate) async fn watch<T, F, S>(
        &self,
        patience: Duration,
        mut look: impl FnMut() -> F,
        is_done: impl Fn(&T) -> bool,
        describe: S,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
        S: Fn(&T) -> String,
    {
        let deadline = Instant::now() + patience;
        let mut pause = FIRST_POLL;
        let mut told = String::new();
        loop {
            let seen = look().await?;
            let news = describe(&seen);
            if news != told {
                self.progress(news.clone()).await;
                told = news;
            }
            if is_done(&seen) || Instant::now() + pause > deadline {
                return Ok(seen);
            }
            self.unless_cancelled(sleep(pause)).await?;
            pause = pause.mul_f32(1.5).min(SLOWEST_POLL);
        }
    }

    /// Runs to its end, or stops where the client cancels the call.
    pub(crate) async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            done = work => Ok(done),
            () = self.context.ct.cancelled() => {
                Err(Failure::new(code::CANCELLED, "the call was cancelled").into())
            }
        }
    }

    /// The person's answer to a form; `None` if this client has no way of asking. On the newest protocol
    /// the first call ends with the question, and the repeated one, which carries `state`, has the answer.
    pub(crate) async fn ask(
        &self,
        question: ElicitRequestParams,
        state: &str,
    ) -> Result<Option<ElicitResult>> {
        if !self.can_ask() {
            return Ok(None);
        }
        if !self.is_stateless() {
            let answer = self.context.peer.create_elicitation(question).await;
            // Whoever cannot be asked has not agreed.
            return Ok(Some(answer.unwrap_or(ElicitResult::new(ElicitationAction::Cancel))));
        }
        let Some(answers) = self.answers.as_ref().filter(|answers| answers.state == state) else {
            let question = InputRequest::Elicitation(ElicitRequest::new(question));
            let questions = [(FORM.to_owned(), question)].into();
            let ask = InputRequiredResult::new(Some(questions), Some(state.to_owned()));
            return Err(Stop::Ask(Box::new(ask)));
        };
        serde_json::from_value(answers.form.clone())
            .map(Some)
            .map_err(|error| Failure::invalid(format!("the answer to the form: {error}")).into())
    }

    fn can_ask(&self) -> bool {
        let capabilities = self.context.client_capabilities();
        capabilities
            .and_then(|capabilities| capabilities.elicitation)
            .is_some_and(|kinds| kinds.form.is_some() || kinds.url.is_none())
    }

    fn is_stateless(&self) -> bool {
        let version = self.context.protocol_version();
        version.is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
    }
}
