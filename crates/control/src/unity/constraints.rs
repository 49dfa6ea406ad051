//! Keys that are declared on a registered table: a Delta log has no place for them, so the catalog keeps
//! them. They are information; nobody enforces them.

use lakeport_api::unity::{ColumnInfo, NewConstraint, TableConstraint};
use lakeport_store::Principal;
use serde_json::Value;

use super::info::{json, stored};
use super::rights::require_manager;
use crate::{Control, Error, Result};

impl Control {
    pub async fn create_table_constraint(
        &self,
        caller: &Principal,
        request: &NewConstraint,
    ) -> Result<TableConstraint> {
        let name = request.full_name_arg.as_str();
        let new = &request.constraint;
        self.change_constraints(caller, name, |columns, list| {
            check(new, columns)?;
            if list.iter().any(|known| constraint_name(known) == constraint_name(new)) {
                let name = constraint_name(new).unwrap_or_default();
                return Err(Error::already_exists(format!("constraint \"{name}\" already exists")));
            }
            let second = new.primary_key_constraint.is_some()
                && list.iter().any(|known| known.primary_key_constraint.is_some());
            if second {
                return Err(Error::already_exists("the table's primary key already exists"));
            }
            list.push(new.clone());
            Ok(())
        })
        .await?;
        Ok(new.clone())
    }

    pub async fn delete_table_constraint(
        &self,
        caller: &Principal,
        full_name: &str,
        constraint: &str,
    ) -> Result<()> {
        self.change_constraints(caller, full_name, |_, list| {
            let before = list.len();
            list.retain(|known| constraint_name(known) != Some(constraint));
            match list.len() < before {
                true => Ok(()),
                false => Err(Error::not_found("constraint", constraint)),
            }
        })
        .await
    }

    async fn change_constraints(
        &self,
        caller: &Principal,
        full_name: &str,
        change: impl FnOnce(&Value, &mut Vec<TableConstraint>) -> Result<()>,
    ) -> Result<()> {
        let who = self.who(caller).await?;
        self.refuse_databases(&who, full_name, "declare keys").await?;
        let (row, held) = self.known_table(&who, full_name).await?;
        require_manager(&held, full_name)?;
        let mut list: Vec<TableConstraint> = stored(row.constraints.clone())?;
        change(&row.columns, &mut list)?;
        if self.store.set_unity_constraints(row.id, &row.constraints, &json(Some(&list))?).await? {
            return Ok(());
        }
        Err(Error::conflict(format!(
            "table \"{full_name}\" was changed at the same time: try again"
        )))
    }
}

pub(super) fn check_all(constraints: &[TableConstraint], columns: &Value) -> Result<()> {
    constraints.iter().try_for_each(|constraint| check(constraint, columns))
}

/// A key's columns must be there.
fn check(constraint: &TableConstraint, columns: &Value) -> Result<()> {
    let field = "constraint";
    let named = match (&constraint.primary_key_constraint, &constraint.foreign_key_constraint) {
        (Some(key), None) => &key.child_columns,
        (None, Some(key)) => &key.child_columns,
        _ => {
            let problem = "give one of primary_key_constraint and foreign_key_constraint";
            return Err(Error::invalid(field, problem));
        }
    };
    if constraint_name(constraint).unwrap_or_default().is_empty() || named.is_empty() {
        return Err(Error::invalid(field, "it needs a name and child_columns"));
    }
    let known: Vec<ColumnInfo> = stored(columns.clone())?;
    match named.iter().find(|name| !known.iter().any(|column| column.name == **name)) {
        Some(missing) => {
            Err(Error::invalid(field, format!("the table has no column \"{missing}\"")))
        }
        None => Ok(()),
    }
}

fn constraint_name(constraint: &TableConstraint) -> Option<&str> {
    let primary = constraint.primary_key_constraint.as_ref().map(|key| key.name.as_str());
    primary.or(constraint.foreign_key_constraint.as_ref().map(|key| key.name.as_str()))
}

/// What a client says of columns is taken for their comments; names and types are the log's.
pub(super) fn with_comments(columns: Value, given: &[ColumnInfo]) -> Result<Value> {
    let mut columns: Vec<ColumnInfo> = stored(columns)?;
    for column in &mut columns {
        let named = given.iter().find(|given| given.name == column.name);
        if let Some(comment) = named.and_then(|given| given.comment.clone()) {
            column.comment = Some(comment);
        }
    }
    json(Some(&columns))
}

pub(super) fn with_partitions(
    mut columns: Vec<ColumnInfo>,
    partitions: &[String],
) -> Vec<ColumnInfo> {
    for column in &mut columns {
        let index = partitions.iter().position(|name| *name == column.name);
        column.partition_index = index.and_then(|index| i64::try_from(index).ok());
    }
    columns
}
