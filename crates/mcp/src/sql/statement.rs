//! What kind of statement it is, by its words.
//!
//! Owns: telling reading from writing from destroying, and naming the functions that reach past a read-only
//! transaction. The last wall, and for better messages: the others hold without it. Never: a grammar.

use super::scanner::{Scanner, Token};
use crate::failure::Failure;

pub(crate) struct Statement {
    tokens: Vec<Token>,
}

/// What running a statement amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Adds, or changes what is easily set right.
    Writes,
    /// May take away data, objects or rights: confirmed first.
    Destroys,
}

/// Statements that read.
const READING: [&str; 6] = ["select", "with", "values", "table", "show", "explain"];

/// Statements about the session or the transaction, which are not the agent's.
const NOT_HERE: [&str; 29] = [
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "abort",
    "savepoint",
    "release",
    "prepare",
    "execute",
    "deallocate",
    "copy",
    "listen",
    "unlisten",
    "notify",
    "declare",
    "fetch",
    "move",
    "close",
    "load",
    "set",
    "reset",
    "discard",
    "lock",
    "checkpoint",
    "explain",
    "vacuum",
    "cluster",
    "security",
];

/// Functions that act outside of the transaction, on the session's settings, or on SQL in a string.
const SIDE_DOORS: [&str; 20] = [
    "set_config",
    "pg_terminate_backend",
    "pg_cancel_backend",
    "pg_reload_conf",
    "pg_notify",
    "pg_rotate_logfile",
    "pg_switch_wal",
    "pg_promote",
    "pg_export_snapshot",
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "ts_stat",
    "ts_rewrite",
    "connectby",
    "pg_prewarm",
    "nextval",
    "setval",
];

/// The same, whole families by how their names begin.
const SIDE_DOOR_FAMILIES: [&str; 17] = [
    "dblink",
    "lo_",
    "pg_advisory",
    "pg_try_advisory",
    "pg_logical_",
    "pg_replication_",
    "pg_create_",
    "pg_drop_",
    "pg_copy_",
    "pg_stat_reset",
    "pg_stat_statements_reset",
    "pg_wal_re",
    "pg_backup_",
    "pg_file_",
    "pg_read_",
    "pg_ls_",
    "crosstab",
];

impl Statement {
    /// # Errors
    /// If a quotation or a comment has no end.
    pub(crate) fn read(sql: &str) -> Result<Self, Failure> {
        let tokens = Scanner::new(sql).tokens()?;
        if tokens.iter().all(|token| *token == Token::Symbol(';')) {
            return Err(Failure::invalid("the statement is empty"));
        }
        Ok(Self { tokens })
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().filter_map(|token| match token {
            Token::Word(word) => Some(word.as_str()),
            _ => None,
        })
    }

    fn first_word(&self) -> &str {
        let mut tokens = self.tokens.iter().skip_while(|token| **token == Token::Symbol('('));
        match tokens.next() {
            Some(Token::Word(word)) => word,
            _ => "",
        }
    }

    /// Lets statements pass that read, and call nothing that a read-only transaction does not hold.
    pub(crate) fn must_read(&self) -> Result<(), Failure> {
        let first = self.first_word();
        if !READING.contains(&first) {
            let message = format!("{} is not a statement that reads", first.to_uppercase());
            return Err(Failure::new("25006", message).hint(
                "this tool takes SELECT, WITH, VALUES, TABLE, SHOW and EXPLAIN; \
                 lakebase_execute writes, if the operator allows it",
            ));
        }
        if first == "explain" && self.words().any(|word| matches!(word, "analyze" | "analyse")) {
            // It runs what it explains, and PostgreSQL lets CREATE TABLE AS pass so.
            return Err(Failure::new("25006", "EXPLAIN ANALYZE is not served here")
                .hint("lakebase_explain with analyze measures statements that read"));
        }
        match self.side_door() {
            None => Ok(()),
            Some(name) => {
                let message = format!("the function {name} is not for reading statements");
                Err(Failure::new("25006", message).hint("leave it out"))
            }
        }
    }

    /// A function that is called, or may be: quoted names count, and unicode escapes as any name.
    fn side_door(&self) -> Option<&str> {
        let calls = self.tokens.windows(2).filter(|pair| pair[1] == Token::Symbol('('));
        let mut names = calls.filter_map(|pair| match &pair[0] {
            Token::Word(name) | Token::Quoted(name) => Some(name.as_str()),
            _ => None,
        });
        let is_side_door = |name: &&str| {
            SIDE_DOORS.contains(name)
                || SIDE_DOOR_FAMILIES.iter().any(|family| name.starts_with(family))
                || name.contains('\\')
        };
        names.find(is_side_door)
    }

    /// What a writing statement amounts to, or why it is none for this tool.
    pub(crate) fn effect(&self) -> Result<Effect, Failure> {
        let first = self.first_word();
        if NOT_HERE.contains(&first) {
            let message = format!("{} is not served here", first.to_uppercase());
            let hint = match first {
                "explain" => "lakebase_explain shows plans",
                _ => "each call is one statement in a transaction and a session of its own",
            };
            return Err(Failure::new("0A000", message).hint(hint));
        }
        let has = |word: &str| self.words().any(|other| other == word);
        let is_mild = match first {
            "select" | "values" | "table" | "show" | "insert" | "comment" | "analyze" | "grant"
            | "refresh" => true,
            "with" => !has("delete") && !has("merge") && !self.updates(),
            "create" => !has("replace"),
            "alter" => has("add") && !["drop", "rename", "type", "owner"].into_iter().any(has),
            _ => false,
        };
        Ok(if is_mild { Effect::Writes } else { Effect::Destroys })
    }

    /// UPDATE as a statement, not as a lock or as the answer to a conflict.
    fn updates(&self) -> bool {
        let words: Vec<_> = self.words().collect();
        let is_update = |at: usize| {
            words[at] == "update"
                && !at
                    .checked_sub(1)
                    .is_some_and(|before| ["for", "key", "do"].contains(&words[before]))
        };
        (0..words.len()).any(is_update)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sql: &str) -> Statement {
        Statement::read(sql).unwrap_or_else(|failure| panic!("{sql}: {}", failure.message()))
    }

    fn words(sql: &str) -> Vec<String> {
        read(sql).words().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_quoted_is_no_word() {
        for sql in [
            "SELECT 'drop'",
            "select 'it''s drop'",
            "select -- drop\n 1",
            "select /* drop /* drop */ drop */ 1",
            "select $$drop$$",
            "select $a$ drop $b$ drop $a$",
            "select e'\\' drop'",
            "select E'a'\n  -- more\n '\\' drop'",
            "select U&'drop'",
            "select \"drop\"",
            "select b'0', x'drop'",
        ] {
            assert_eq!(words(sql), ["select"], "{sql}");
        }
        assert_eq!(words("select 'a' drop 'b'"), ["select", "drop"]);
        assert_eq!(words("select '\\' , drop"), ["select", "drop"]);
        assert_eq!(words("select a$$b drop"), ["select", "a$$b", "drop"]);
        assert_eq!(words("select $1 + drop"), ["select", "drop"]);
    }

    #[test]
    fn what_has_no_end_is_refused() {
        for sql in ["select '", "select /* /* */", "select $x$ $y$", "select \"", "", " ; -- x"] {
            assert!(Statement::read(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn reading_statements_pass() {
        for sql in [
            "SELECT 1",
            " /* x */ (select 1) union select 2",
            "with a as (select 1) table a",
            "values (1)",
            "SHOW search_path",
            "select lo_import from t where lower(nextval) = 'set_config('",
            "explain select 1",
        ] {
            let verdict = read(sql).must_read();
            assert!(verdict.is_ok(), "{sql}: {:?}", verdict.err());
        }
        for sql in [
            "delete from t",
            "explain analyze create table t as select 1",
            "explain (analyze, format json) select 1",
            "do $$ begin end $$",
            "select set_config ('a', 'b', false)",
            "select pg_catalog.\"set_config\"('a', 'b', false)",
            "select U&\"\\0073et_config\"('a', 'b', false)",
            "select LO_IMPORT('/etc/passwd')",
            "select * from dblink_exec('x', 'y')",
        ] {
            assert!(read(sql).must_read().is_err(), "{sql}");
        }
    }

    #[test]
    fn what_takes_away_is_told_from_what_adds() {
        for sql in [
            "insert into t values (1) on conflict do update set a = 1",
            "create table t (a int references u on delete cascade)",
            "alter table t add column b int",
            "select * from t for update",
            "with a as (select 1) insert into t select * from a",
            "with a as (select * from t for no key update) select * from a",
            "grant select on t to u",
        ] {
            assert_eq!(read(sql).effect().unwrap(), Effect::Writes, "{sql}");
        }
        for sql in [
            "delete from t",
            "update t set a = 1",
            "truncate t",
            "drop table t",
            "alter table t drop column a",
            "alter table t add column b int, drop column a",
            "create or replace view v as select 1",
            "with a as (delete from t returning *) select * from a",
            "with a as (update t set b = 1 returning *) select * from a",
            "do $$ begin end $$",
            "call p()",
            "revoke select on t from u",
            "something new",
        ] {
            assert_eq!(read(sql).effect().unwrap(), Effect::Destroys, "{sql}");
        }
        for sql in ["begin", "COMMIT", "copy t to program 'x'", "set role x", "vacuum", ";begin"] {
            let verdict = read(sql).effect();
            assert!(verdict.is_err() || verdict.unwrap() == Effect::Destroys, "{sql}");
        }
    }
}
