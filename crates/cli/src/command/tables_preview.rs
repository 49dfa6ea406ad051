//! `lakeport tables preview`: rows of a Delta table, read here, with credentials that the catalog hands out.

use std::collections::HashMap;
use std::sync::Arc;

use lakeport_api::unity::TableInfo;
use lakeport_api::unity_grants::TableCredential;
use lakeport_client::Client;
use lakeport_sync::{MayRead, Preview, Source};
use serde_json::{Map, Value, json};

use crate::args::TablesPreviewArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// Wider cells are cut: a preview is to be seen at a glance.
const CELL: usize = 60;

/// Where a store that is not the cloud's own is, as its other clients read it.
const STORE_VARIABLES: [(&str, &str); 4] = [
    ("endpoint", "AWS_ENDPOINT_URL"),
    ("region", "AWS_REGION"),
    ("allow_http", "AWS_ALLOW_HTTP"),
    ("virtual_hosted_style_request", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST"),
];

pub(crate) async fn run(context: &Context, args: &TablesPreviewArgs) -> Result<(), Failure> {
    let name = args.name.get();
    let client = context.client()?;
    let table = client.get_table(name).await?;
    let source = source_of(&client, name, &table).await?;
    let preview = lakeport_sync::preview(&source, args.limit)
        .await
        .map_err(|error| Failure::new(format!("preview {name}: {}", error.message())))?;
    context.output.show(&as_json(&preview), |_| view(&preview))
}

async fn source_of(client: &Client, name: &str, table: &TableInfo) -> Result<Source, Failure> {
    let Some(location) = table.storage_location.clone() else {
        return Err(Failure::usage(format!(
            "{name} is a table of a database: read it with `lakeport psql`"
        )));
    };
    if location.starts_with("file:") {
        // Whoever runs this reads with rights of their own.
        let may_read: Option<MayRead> = Some(Arc::new(|_: &str| true));
        return Ok(Source { location, may_read, ..Source::default() });
    }
    let id = table.table_id.as_deref().unwrap_or_default();
    let credential = client.temporary_table_credential(id).await?;
    Ok(Source { location, storage_options: options(&credential), may_read: None })
}

fn options(credential: &TableCredential) -> HashMap<String, String> {
    let mut options = HashMap::new();
    let mut set = |option: &str, value: &str| {
        options.insert(option.to_owned(), value.to_owned());
    };
    if let Some(aws) = &credential.aws_temp_credentials {
        set("access_key_id", &aws.access_key_id);
        set("secret_access_key", &aws.secret_access_key);
        if let Some(token) = aws.session_token.as_ref().filter(|token| !token.is_empty()) {
            set("session_token", token);
        }
        for (option, variable) in STORE_VARIABLES {
            if let Ok(value) = std::env::var(variable) {
                set(option, &value);
            }
        }
    }
    if let Some(azure) = &credential.azure_user_delegation_sas {
        set("sas_token", &azure.sas_token);
    }
    if let Some(google) = &credential.gcp_oauth_token {
        set("bearer_token", &google.oauth_token);
    }
    options
}

fn as_json(preview: &Preview) -> Value {
    let object = |row: &Vec<Option<String>>| {
        let pairs = preview.columns.iter().zip(row);
        Value::Object(pairs.map(|(c, v)| (c.name.clone(), json!(v))).collect::<Map<_, _>>())
    };
    json!({
        "version": preview.version,
        "row_count": preview.row_count,
        "rows": preview.rows.iter().map(object).collect::<Vec<_>>(),
    })
}

fn view(preview: &Preview) -> String {
    let header = preview.columns.iter().map(|column| column.name.clone()).collect();
    let row = |row: &Vec<Option<String>>| row.iter().map(|cell| shown(cell.as_deref())).collect();
    let table = output::grid(header, preview.rows.iter().map(row));
    let of = preview.row_count.map_or_else(String::new, |count| format!(" of {count}"));
    format!("{table}\n\n{}{of} rows at version {}", preview.rows.len(), preview.version)
}

fn shown(cell: Option<&str>) -> String {
    let Some(text) = cell else { return String::from("NULL") };
    match text.char_indices().nth(CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_cells_are_cut_between_characters() {
        assert_eq!(shown(None), "NULL");
        assert_eq!(shown(Some("a")), "a");
        let long = "ü".repeat(CELL + 1);
        assert_eq!(shown(Some(&long)).chars().count(), CELL + 1);
    }
}
