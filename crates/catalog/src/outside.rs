//! An outside Unity Catalog server: what lies in it, where its tables are, and credentials for their files.
//!
//! What it answers is checked like a user's word: a location must be one that may be read, and the columns
//! are the log's, whatever the server says of them.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::{DeltaLocation, Error, Location, Policy, Question, TableName, join_name};

/// A server that does not answer in this time is down as far as its callers care.
const PATIENCE: Duration = Duration::from_secs(10);
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// Far above the description of a table with thousands of columns.
const MOST_BYTES: usize = 8 << 20;

const NUMBERS: [&str; 6] =
    ["created_at", "updated_at", "position", "type_precision", "type_scale", "partition_index"];

/// An outside catalog under a name of ours.
pub struct Outside {
    /// Its name on that server, where it differs from ours.
    remote_name: Option<String>,
    base: Url,
    token: Option<String>,
    readers: Vec<String>,
    http: Client,
}

/// Without the token.
impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// How an outside catalog is mounted.
pub struct Mount {
    pub remote_name: Option<String>,
    pub url: String,
    pub token: Option<String>,
    /// Principals who may read its tables, besides administrators.
    pub readers: Vec<String>,
}

#[derive(Deserialize)]
struct Table {
    table_id: Option<String>,
    storage_location: Option<String>,
    data_source_format: Option<String>,
}

#[derive(Default, Deserialize)]
struct Credential {
    aws_temp_credentials: Option<Aws>,
    azure_user_delegation_sas: Option<Azure>,
    gcp_oauth_token: Option<Google>,
}

#[derive(Deserialize)]
struct Aws {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

#[derive(Deserialize)]
struct Azure {
    sas_token: String,
}

#[derive(Deserialize)]
struct Google {
    oauth_token: String,
}

impl Outside {
    /// Fails on a URL that is none, naming what is wrong with it but never the token.
    pub fn new(mount: Mount) -> Result<Self, String> {
        let mut base =
            Url::parse(&mount.url).map_err(|error| format!("it is not a URL: {error}"))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(String::from("it must begin with https:// or http://"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(String::from("it may not hold a password: use a token"));
        }
        base.set_query(None);
        // A redirect could lead to addresses that nobody has configured.
        let http = Client::builder()
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| format!("making an HTTP client failed: {error}"))?;
        let Mount { remote_name, token, readers, .. } = mount;
        Ok(Self { remote_name, base, token, readers, http })
    }

    #[must_use]
    pub fn readers(&self) -> &[String] {
        &self.readers
    }

    pub(crate) async fn resolve(
        &self,
        name: &TableName,
        policy: &Policy,
    ) -> Result<DeltaLocation, Error> {
        let about = name.to_string();
        let remote = [self.name_there(&name.catalog), &name.schema, &name.table];
        let request = self.http.get(self.url(&["tables", &join_name(&remote)]));
        let found: Option<Table> = self.send(&about, request).await?;
        let table = found.ok_or_else(|| Error::NoSuchTable(name.clone()))?;
        let format = table.data_source_format.unwrap_or_default();
        if !format.eq_ignore_ascii_case("DELTA") {
            return Err(self.refused(&about, &format!("says that it is {format}, not DELTA")));
        }
        let location = Location::parse(table.storage_location.as_deref().unwrap_or_default())?;
        if location.file_path().is_some() {
            return Ok(policy.open(&location)?);
        }
        let credential = self.credential(name, table.table_id.as_deref()).await?;
        Ok(policy.open_with(&location, options(credential))?)
    }

    /// What the server says about the catalog, which is called `catalog` here; None if there is no such thing.
    pub(crate) async fn ask(
        &self,
        catalog: &str,
        question: &Question<'_>,
    ) -> Result<Option<Value>, Error> {
        let (path, query) = question.request(self.name_there(catalog));
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let mut url = self.url(&path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut answer = self.send(catalog, self.http.get(url)).await?;
        answer.iter_mut().for_each(read_numbers);
        Ok(answer)
    }

    fn name_there<'a>(&'a self, name: &'a str) -> &'a str {
        self.remote_name.as_deref().unwrap_or(name)
    }

    async fn credential(&self, name: &TableName, id: Option<&str>) -> Result<Credential, Error> {
        let about = name.to_string();
        let id = id.ok_or_else(|| self.refused(&about, "names no table_id"))?;
        let request = self.http.post(self.url(&["temporary-table-credentials"]));
        let request = request.json(&json!({"table_id": id, "operation": "READ"}));
        let found = self.send(&about, request).await?;
        found.ok_or_else(|| Error::NoSuchTable(name.clone()))
    }

    /// `about` is what an error begins with. None is the server's 404.
    async fn send<T: for<'de> Deserialize<'de>>(
        &self,
        about: &str,
        request: RequestBuilder,
    ) -> Result<Option<T>, Error> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.map_err(|error| self.down(about, &error))?;
        let status = answer.status();
        let body = self.body(about, answer).await?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map(Some).map_err(|error| {
                self.refused(
                    about,
                    &format!("answers with something else than was asked for: {error}"),
                )
            }),
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(self.unavailable(about, &format!("answers {status}")))
            }
            status => Err(self.refused(about, &format!("answers {status}: {}", message(&body)))),
        }
    }

    async fn body(&self, about: &str, mut answer: Response) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|error| self.down(about, &error))? {
            body.extend_from_slice(&part);
            if body.len() > MOST_BYTES {
                return Err(self.refused(about, "answers without end"));
            }
        }
        Ok(body)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // An http URL has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "2.1", "unity-catalog"]).extend(path);
        }
        url
    }

    fn down(&self, about: &str, error: &reqwest::Error) -> Error {
        let problem = if error.is_timeout() {
            format!("does not answer within {} s", PATIENCE.as_secs())
        } else if error.is_connect() {
            String::from("cannot be reached")
        } else {
            String::from("broke off its answer")
        };
        self.unavailable(about, &problem)
    }

    fn unavailable(&self, about: &str, problem: &str) -> Error {
        Error::OutsideDown(format!("{about}: the catalog at {} {problem}", self.base))
    }

    fn refused(&self, about: &str, problem: &str) -> Error {
        Error::OutsideRefused(format!("{about}: the catalog at {} {problem}", self.base))
    }
}

/// Reads numbers that stand as strings: some servers write 64 bits as protocol buffers do in JSON.
fn read_numbers(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(read_numbers),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if NUMBERS.contains(&name.as_str()) => {
                        if let Ok(number) = text.parse::<i64>() {
                            *value = number.into();
                        }
                    }
                    // What users write there is theirs.
                    _ if name == "properties" => {}
                    value => read_numbers(value),
                }
            }
        }
        _ => {}
    }
}

/// What an error's body says, as far as it is short.
fn message(body: &[u8]) -> String {
    let parsed: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = parsed["message"].as_str().unwrap_or("no reason is given");
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn options(credential: Credential) -> HashMap<String, String> {
    let mut options = HashMap::new();
    let mut set = |name: &str, value: String| options.insert(name.to_owned(), value);
    if let Some(aws) = credential.aws_temp_credentials {
        set("access_key_id", aws.access_key_id);
        set("secret_access_key", aws.secret_access_key);
        if let Some(token) = aws.session_token.filter(|token| !token.is_empty()) {
            set("session_token", token);
        }
    }
    if let Some(azure) = credential.azure_user_delegation_sas {
        set("sas_token", azure.sas_token);
    }
    if let Some(google) = credential.gcp_oauth_token {
        set("bearer_token", google.oauth_token);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside(url: &str) -> Result<Outside, String> {
        let token = Some(String::from("hunter2"));
        Outside::new(Mount { remote_name: None, url: url.to_owned(), token, readers: Vec::new() })
    }

    #[test]
    fn numbers_may_stand_as_strings() {
        let mut answer = json!({
            "name": "1",
            "created_at": "1795890700620",
            "columns": [{"name": "2", "position": "0"}, {"position": 1}],
            "properties": {"position": "3"},
        });
        read_numbers(&mut answer);
        let expected = json!({
            "name": "1",
            "created_at": 1_795_890_700_620_i64,
            "columns": [{"name": "2", "position": 0}, {"position": 1}],
            "properties": {"position": "3"},
        });
        assert_eq!(answer, expected);
    }

    #[test]
    fn urls_are_checked_and_the_token_is_never_shown() {
        for bad in ["uc", "file:///etc", "https://user:secret@host"] {
            assert!(outside(bad).is_err(), "{bad}");
        }
        let good = outside("https://host/prefix/?x=1").unwrap();
        let url = good.url(&["tables", "a.b.c"]);
        assert_eq!(url.as_str(), "https://host/prefix/api/2.1/unity-catalog/tables/a.b.c");
        assert!(!format!("{good:?}").contains("hunter2"));
    }
}
