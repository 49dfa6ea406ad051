//! A swap: all rows of a table replaced at once, where so many differ that to apply the differences takes longer and
//! leaves the table twice as large.
//!
//! Owns: finding out whether that is so, and doing it. Only by setting, because readers wait while the rows are put
//! in, and a transaction whose snapshot is older sees none afterwards (ADR 2). The table stays the same object: what
//! users have made of it stays too.

use lakeport_pg::quote_literal;
use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::column::compared_list;
use super::ddl::Layout;
use super::load::run;
use super::refresh::Differences;
use super::session::Target;
use crate::copy::Counts;
use crate::error::Error;
use crate::job::TableName;

/// Readers queue behind whoever waits for the whole table, so that is not for long.
const PATIENCE: &str = "set local lock_timeout = '1s'";

/// The statements of a swap.
pub(super) struct Swap {
    share: f64,
    is_referenced: String,
    compare: String,
    empty: String,
    fill: String,
}

impl Swap {
    /// If more than this share of the rows differs.
    pub(super) fn new(target: &Target, layout: &Layout, share: f64) -> Self {
        let (name, stage, payload) = (&target.name, &target.aside.stage, layout.payload());
        let differs = format!(
            "({}) is distinct from ({})",
            compared_list(payload.iter().copied(), "t."),
            compared_list(payload.iter().copied(), "s."),
        );
        let differs = if payload.is_empty() { "false".to_owned() } else { differs };
        let columns = layout.column_list("");
        Self {
            share,
            is_referenced: format!(
                "select exists (select from pg_constraint \
                 where contype = 'f' and confrelid = {}::regclass)",
                quote_literal(&name.to_string())
            ),
            compare: format!(
                "select (select count(*) from {name}), count(*), count(*) filter (where {differs}) \
                 from {name} t join {stage} s on {}",
                layout.key_match()
            ),
            empty: format!("{PATIENCE}; truncate {name}"),
            fill: format!("insert into {name} ({columns}) select {columns} from {stage}"),
        }
    }

    /// Replaces the rows by the staged ones, unless too few differ, others refer to them, or somebody holds the
    /// table; then nothing has been done.
    pub(super) async fn try_now(
        &self,
        transaction: &mut Transaction<'_>,
        table: &TableName,
        counts: Counts,
    ) -> Result<Option<Differences>, Error> {
        let failed = || Error::target("compare", table);
        let row = transaction.query_one(&self.is_referenced, &[]).await.map_err(failed())?;
        if row.get(0) {
            return Ok(None);
        }
        let row = transaction.query_one(&self.compare, &[]).await.map_err(failed())?;
        let number = |nth: usize| u64::try_from(row.get::<_, i64>(nth)).unwrap_or_default();
        let (before, met, updated) = (number(0), number(1), number(2));
        let most = before.max(counts.rows);
        let differing = most.saturating_sub(met - updated);
        if differing as f64 <= self.share * most as f64 || !self.empty(transaction, table).await? {
            return Ok(None);
        }
        run(transaction, "refresh", table, &self.fill).await?;
        let (inserted, deleted) = (counts.rows.saturating_sub(met), before.saturating_sub(met));
        Ok(Some(Differences { counts, inserted, updated, deleted, swapped: true }))
    }

    /// False if somebody holds the table.
    async fn empty(
        &self,
        transaction: &mut Transaction<'_>,
        table: &TableName,
    ) -> Result<bool, Error> {
        let failed = || Error::target("empty", table);
        let attempt = transaction.savepoint("swap").await.map_err(failed())?;
        match attempt.batch_execute(&self.empty).await {
            Ok(()) => attempt.commit().await.map(|()| true).map_err(failed()),
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                attempt.rollback().await.map(|()| false).map_err(failed())
            }
            Err(error) => Err(failed()(error)),
        }
    }
}
