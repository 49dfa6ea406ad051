//! `lakebase_execute`: one statement that writes, as the caller's own role.
//!
//! Owns: that what takes something away runs on trial first. The trial is the statement itself, rolled
//! back; what it did is the plan, and the real run is undone if it does anything else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Hints, Tool, database_or_default, find_instance};
use crate::Access;
use crate::call::{Call, Result};
use crate::confirm::{self, Confirmation, Plan, Verdict, confirm};
use crate::sql::{Cell, Column, Effect, Executed, Page, Session, Statement, Target};

pub(super) struct Execute;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Instance to change
    instance_name: String,
    /// Database of the instance; databricks_postgres by default
    database_name: Option<String>,
    /// One statement in PostgreSQL's SQL
    statement: String,
    /// Values for $1, $2 and so on, as text
    parameters: Option<Vec<String>>,
    /// From the answer to the same call without it
    confirm_token: Option<String>,
}

#[derive(Default, Serialize, JsonSchema)]
pub(super) struct Output {
    /// COMMITTED, or CONFIRMATION_REQUIRED if nothing was done yet
    status: &'static str,
    /// What PostgreSQL says it did, or would do, such as DELETE 3
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
    /// For a statement with RETURNING
    #[serde(skip_serializing_if = "Vec::is_empty")]
    columns: Vec<Column>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<Vec<Cell>>")]
    rows: Vec<Vec<Value>>,
    /// Whether rows were left out
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    confirmation: Option<Confirmation>,
}

impl Tool for Execute {
    const NAME: &str = "lakebase_execute";
    const TITLE: &str = "Change a database";
    const DESCRIPTION: &str = "Runs one writing SQL statement with the caller's own rights, in a transaction \
        of its own. A statement that may take something away (DELETE, UPDATE, DROP, ALTER and so on) is \
        tried and rolled back first: the answer tells what it would do and carries a confirm_token.";
    const NEEDS: Access = Access::Write;
    const HINTS: Hints = Hints { read_only: false, destructive: true, idempotent: false };
    type Arguments = Arguments;
    type Output = Output;

    async fn run(call: &Call, arguments: Arguments) -> Result<Output> {
        let effect = Statement::read(&arguments.statement)?.effect()?;
        let target = Target {
            instance: arguments.instance_name.clone(),
            database: database_or_default(arguments.database_name.clone()),
        };
        let mut run = Run { session: Session::open(call, &target).await?, call, arguments };
        match effect {
            Effect::Writes => run.for_good(None).await,
            Effect::Destroys => run.with_confirmation(&target).await,
        }
    }
}

struct Run<'a> {
    session: Session,
    call: &'a Call,
    arguments: Arguments,
}

impl Run<'_> {
    async fn with_confirmation(&mut self, target: &Target) -> Result<Output> {
        let instance = find_instance(self.call.client(), &target.instance).await?;
        let protected = self.call.settings().protects(&instance);
        if !protected && !self.call.settings().confirm {
            return self.for_good(None).await;
        }
        self.attempt().await?;
        let trial = self.session.executed().clone();
        // No lock is held while a person thinks.
        self.session.roll_back().await?;
        let seen = fingerprint(&trial);
        let plan = Plan {
            tool: Execute::NAME,
            instance: target.instance.clone(),
            protected,
            effects: effects(&self.arguments.statement, target, &trial),
            fingerprint: seen.clone(),
        };
        let token = self.arguments.confirm_token.clone();
        match confirm(self.call, plan, token.as_deref()).await? {
            Verdict::Go => self.for_good(Some(&seen)).await,
            Verdict::Pending(asked) => Ok(Output {
                status: "CONFIRMATION_REQUIRED",
                command: trial.tag,
                notices: trial.notices,
                confirmation: Some(asked),
                ..Output::default()
            }),
        }
    }

    /// Commits, unless it did something else than was confirmed.
    async fn for_good(&mut self, confirmed: Option<&str>) -> Result<Output> {
        let page = self.attempt().await?;
        let executed = self.session.executed().clone();
        if confirmed.is_some_and(|seen| seen != fingerprint(&executed)) {
            self.session.roll_back().await?;
            return Err(confirm::stale().into());
        }
        self.session.commit().await?;
        Ok(Output {
            status: "COMMITTED",
            command: executed.tag,
            notices: executed.notices,
            columns: self.session.columns().to_vec(),
            truncated: page.more.then_some(true),
            rows: page.rows,
            confirmation: None,
        })
    }

    async fn attempt(&mut self) -> Result<Page> {
        let parameters = self.arguments.parameters.iter().flatten();
        let parameters: Vec<_> = parameters.map(|value| Some(value.as_str())).collect();
        self.session.begin().await?;
        self.session.run_to_end(self.call, &self.arguments.statement, &parameters).await
    }
}

fn fingerprint(executed: &Executed) -> String {
    format!("{:?} {:?}", executed.tag, executed.notices)
}

fn effects(statement: &str, target: &Target, trial: &Executed) -> Vec<String> {
    let Target { instance, database } = target;
    let mut effects = vec![
        format!("Run in database `{database}` of instance `{instance}`: {statement}"),
        format!("On trial it did: {}", trial.tag.as_deref().unwrap_or("nothing that is counted")),
    ];
    effects.extend(trial.notices.iter().cloned());
    effects
}
