//! One session with one instance: opened for a call, closed with it.
//!
//! Owns: the transaction around the agent's statement, its limits, and that what is still running is
//! cancelled. Never: a session that is shared or used again.

use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use serde_json::Value;
use tokio::time::timeout;

use super::error::{ServerError, SqlError};
use super::json;
use super::rows::{self, Column, Page, Row};
use super::wire::{Request, Wire, unexpected};
use crate::call::{Call, Result};
use crate::failure::Failure;
use crate::{Settings, door};

/// Where a call's statements run.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) instance: String,
    pub(crate) database: String,
}

const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Beyond the server's own limit: for when the server does not answer.
const GRACE: Duration = Duration::from_secs(10);
/// Rows are asked for in rounds of so many, because their length is known only afterwards.
const ROUND: usize = 50;
/// The part of an answer that one value may fill.
const VALUE_SHARE: usize = 4;
/// The agent's own portal; statements of ours use the unnamed one beside it.
const PORTAL: &str = "agent";

pub(crate) struct Session {
    wire: Wire,
    limits: Limits,
    columns: Vec<Column>,
    /// Rows that were read but did not fit.
    rest: Vec<Row>,
    is_suspended: bool,
    executed: Executed,
}

struct Limits {
    statement: Duration,
    rows: usize,
    bytes: usize,
}

/// What the agent's statement did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Executed {
    /// Such as `DELETE 3`; absent while a query is not at its end.
    pub(crate) tag: Option<String>,
    pub(crate) notices: Vec<String>,
}

/// What one round of messages brought.
#[derive(Default)]
struct Round {
    executed: Executed,
    rows: Vec<Row>,
    /// Whether rows came that were not kept.
    left_out: bool,
}

/// How much of an answer is kept, and how.
#[derive(Clone, Copy)]
struct Keep {
    rows: usize,
    /// Longer values are cut.
    value: usize,
    json: fn(&str) -> Option<Value>,
}

impl Keep {
    /// Of the agent's statement: JSON only where that loses nothing.
    fn values_of(value: usize) -> Self {
        Self { rows: usize::MAX, value, json: json::parse }
    }

    /// Of a statement of our own, whose JSON is read here.
    const OURS: Self =
        Self { rows: usize::MAX, value: usize::MAX, json: |text| serde_json::from_str(text).ok() };
}

impl Session {
    /// Logs in as the caller, and settles everything that an owner of the database could have changed
    /// about how statements are read and shown.
    pub(crate) async fn open(call: &Call, target: &Target) -> Result<Self> {
        let (door, user) = door::open(call, &target.instance).await?;
        let parameters = [
            ("user", user.as_str()),
            ("database", target.database.as_str()),
            ("application_name", "lakeport-mcp"),
            ("client_encoding", "UTF8"),
        ];
        let wire = call.unless_cancelled(Wire::connect(door, &parameters)).await?;
        let mut session = Self {
            wire: wire.map_err(Failure::from)?,
            limits: Limits::of(call.settings()),
            columns: Vec::new(),
            rest: Vec::new(),
            is_suspended: false,
            executed: Executed::default(),
        };
        let milliseconds = session.limits.statement.as_millis();
        let lock = LOCK_TIMEOUT.min(session.limits.statement).as_millis();
        session
            .command(&format!(
                "SET standard_conforming_strings = on; SET DateStyle = 'ISO, MDY'; \
                 SET IntervalStyle = 'postgres'; SET bytea_output = 'hex'; \
                 SET extra_float_digits = 1; SET backslash_quote = 'safe_encoding'; \
                 SET statement_timeout = {milliseconds}; SET lock_timeout = {lock}"
            ))
            .await?;
        Ok(session)
    }

    /// From here on nothing can be written: a transaction whose first snapshot is taken cannot be made
    /// to write any more.
    pub(crate) async fn read_only(&mut self, call: &Call) -> Result<()> {
        let idle = super::CURSOR_LIFETIME.as_millis();
        self.command(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
             SET LOCAL idle_in_transaction_session_timeout = {idle}; SELECT 1"
        ))
        .await?;
        if let Some(role) = &call.settings().read_role {
            let sql = "SELECT pg_catalog.set_config('role', $1, true)";
            self.rows(call, sql, &[Some(role)]).await?;
        }
        Ok(())
    }

    /// A transaction for statements of our own about the database.
    pub(crate) async fn inspect(&mut self, call: &Call) -> Result<()> {
        self.read_only(call).await?;
        self.pin_names().await
    }

    /// From here on names and operators mean what PostgreSQL made them.
    pub(crate) async fn pin_names(&mut self) -> Result<()> {
        self.command("SET LOCAL search_path = pg_catalog, pg_temp").await
    }

    pub(crate) async fn begin(&mut self) -> Result<()> {
        self.command("BEGIN").await
    }

    pub(crate) async fn commit(&mut self) -> Result<()> {
        self.command("COMMIT").await
    }

    pub(crate) async fn roll_back(&mut self) -> Result<()> {
        self.command("ROLLBACK").await
    }

    /// Runs the agent's statement and keeps its first rows for [`Self::page`].
    pub(crate) async fn run(
        &mut self,
        call: &Call,
        sql: &str,
        parameters: &[Option<&str>],
    ) -> Result<()> {
        self.executed = Executed::default();
        self.rest.clear();
        let request = self.first_request(PORTAL, sql, parameters, self.round()).map_err(broken)?;
        let round = self.exchange(call, &request, Keep::values_of(self.longest_value())).await?;
        self.take_in(round);
        self.name_types(call).await
    }

    /// Runs a statement that changes something to its end, because only there PostgreSQL tells how much
    /// it did, and keeps no more rows than fit into one answer.
    pub(crate) async fn run_to_end(
        &mut self,
        call: &Call,
        sql: &str,
        parameters: &[Option<&str>],
    ) -> Result<Page> {
        self.executed = Executed::default();
        self.rest.clear();
        let request = self.first_request(PORTAL, sql, parameters, 0).map_err(broken)?;
        let keep = Keep { rows: self.limits.rows, ..Keep::values_of(self.longest_value()) };
        let round = self.exchange(call, &request, keep).await?;
        let left_out = round.left_out;
        self.take_in(round);
        self.name_types(call).await?;
        let page = self.page(call).await?;
        Ok(Page { more: page.more || left_out, ..page })
    }

    pub(crate) fn executed(&self) -> &Executed {
        &self.executed
    }

    fn take_in(&mut self, mut round: Round) {
        self.rest.append(&mut round.rows);
        self.executed.notices.append(&mut round.executed.notices);
        self.executed.tag = round.executed.tag;
    }

    /// A statement of our own, with all of its rows; they are few by construction.
    pub(crate) async fn rows(
        &mut self,
        call: &Call,
        sql: &str,
        parameters: &[Option<&str>],
    ) -> Result<Vec<Vec<Value>>> {
        let saved = std::mem::take(&mut self.columns);
        let request = self.first_request("", sql, parameters, 0).map_err(broken)?;
        let round = self.exchange(call, &request, Keep::OURS).await;
        self.columns = saved;
        Ok(round?.rows.into_iter().map(|row| row.values).collect())
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The next rows, as many as were agreed.
    pub(crate) async fn page(&mut self, call: &Call) -> Result<Page> {
        let mut page = Page::default();
        let mut length = 0;
        loop {
            let mut kept = std::mem::take(&mut self.rest).into_iter();
            for row in kept.by_ref() {
                let is_full = page.rows.len() >= self.limits.rows
                    || (!page.rows.is_empty() && length + row.length > self.limits.bytes);
                if is_full {
                    self.rest.push(row);
                    break;
                }
                length += row.length;
                page.cut += row.cut;
                page.rows.push(row.values);
            }
            self.rest.extend(kept);
            page.more = !self.rest.is_empty() || self.is_suspended;
            let is_full = page.rows.len() >= self.limits.rows || length >= self.limits.bytes;
            if !self.rest.is_empty() || !self.is_suspended || is_full {
                return Ok(page);
            }
            let request = Request::new().execute(PORTAL, self.round()).map_err(broken)?;
            let round =
                self.exchange(call, &request, Keep::values_of(self.longest_value())).await?;
            self.take_in(round);
        }
    }

    fn longest_value(&self) -> usize {
        self.limits.bytes / VALUE_SHARE
    }

    fn round(&self) -> i32 {
        i32::try_from(ROUND.min(self.limits.rows)).unwrap_or(1)
    }

    fn first_request(
        &mut self,
        portal: &str,
        sql: &str,
        parameters: &[Option<&str>],
        max_rows: i32,
    ) -> std::io::Result<BytesMut> {
        self.columns.clear();
        Request::new().statement(portal, sql, parameters)?.execute(portal, max_rows)
    }

    /// Types have names in the database's own words; those of a failed transaction stay unnamed.
    async fn name_types(&mut self, call: &Call) -> Result<()> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let list = |numbers: Vec<String>| format!("{{{}}}", numbers.join(","));
        let oids = list(self.columns.iter().map(|column| column.oid.to_string()).collect());
        let modifiers = list(self.columns.iter().map(|one| one.modifier.to_string()).collect());
        let sql = "SELECT pg_catalog.format_type(o, m) FROM ROWS FROM ( \
                   pg_catalog.unnest($1::pg_catalog.oid[]), \
                   pg_catalog.unnest($2::pg_catalog.int4[])) AS t(o, m)";
        let suspended = self.is_suspended;
        let names = self.rows(call, sql, &[Some(&oids), Some(&modifiers)]).await?;
        self.is_suspended = suspended;
        for (column, name) in self.columns.iter_mut().zip(names) {
            column.kind =
                name.first().and_then(|name| name.as_str()).unwrap_or_default().to_owned();
        }
        Ok(())
    }

    /// One round of the extended protocol. Whatever ends it early ends the statement on the server too.
    async fn exchange(&mut self, call: &Call, request: &BytesMut, keep: Keep) -> Result<Round> {
        let patience = self.limits.statement + GRACE;
        let work = timeout(patience, self.round_trip(request, keep));
        let answered = call.unless_cancelled(work).await;
        match answered {
            Ok(Ok(done)) => Ok(done.map_err(Failure::from)?),
            Ok(Err(_)) => {
                self.cancel().await;
                let seconds = patience.as_secs();
                Err(Failure::from(SqlError::TimedOut { seconds }).into())
            }
            Err(stop) => {
                self.cancel().await;
                Err(stop)
            }
        }
    }

    async fn cancel(&self) {
        if let Ok(Err(error)) = timeout(GRACE, self.wire.cancel()).await {
            tracing::debug!(%error, "a statement could not be cancelled; its own limit ends it");
        }
    }

    async fn round_trip(&mut self, request: &BytesMut, keep: Keep) -> Result<Round, SqlError> {
        self.wire.send(request).await?;
        let mut round = Round::default();
        let mut error = None;
        self.is_suspended = false;
        loop {
            match self.wire.receive().await? {
                Message::RowDescription(description) => {
                    self.columns = rows::columns(&description)?;
                }
                Message::DataRow(body) => {
                    if round.rows.len() < keep.rows {
                        round.rows.push(rows::row(&body, &self.columns, keep.value, keep.json)?);
                    } else {
                        round.left_out = true;
                    }
                }
                Message::PortalSuspended => self.is_suspended = true,
                Message::CommandComplete(body) => round.executed.tag = Some(body.tag()?.to_owned()),
                Message::NoticeResponse(notice) => {
                    round.executed.notices.push(ServerError::read(notice.fields()).text());
                }
                Message::ErrorResponse(body) => error = Some(SqlError::server(body.fields())),
                Message::ReadyForQuery(_) => return error.map_or(Ok(round), Err),
                Message::ParseComplete
                | Message::BindComplete
                | Message::NoData
                | Message::ParameterStatus(_)
                | Message::NotificationResponse(_)
                | Message::EmptyQueryResponse => {}
                Message::CopyInResponse(_) | Message::CopyOutResponse(_) => {
                    return Err(unexpected("COPY data, which has no place here").into());
                }
                _ => return Err(unexpected("a message out of place").into()),
            }
        }
    }

    /// Statements of our own without an answer.
    async fn command(&mut self, sql: &str) -> Result<()> {
        let request = Request::simple(sql).map_err(broken)?;
        let done =
            timeout(self.limits.statement + GRACE, self.round_trip(&request, Keep::OURS)).await;
        let seconds = (self.limits.statement + GRACE).as_secs();
        let done = done.unwrap_or(Err(SqlError::TimedOut { seconds }));
        Ok(done.map(drop).map_err(Failure::from)?)
    }
}

impl Limits {
    fn of(settings: &Settings) -> Self {
        Self {
            statement: settings.statement_timeout,
            rows: settings.max_rows,
            bytes: settings.max_bytes,
        }
    }
}

fn broken(error: std::io::Error) -> Failure {
    SqlError::from(error).into()
}
