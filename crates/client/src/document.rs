//! An answer of the server: the JSON as it came, and its typed view.
//!
//! Owns: keeping both together, so that fields unknown to this crate survive until they are printed.
//! Never: a change to either.

use std::ops::Deref;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;

#[derive(Debug, Clone)]
pub struct Document<T> {
    json: Value,
    value: T,
}

impl<T: DeserializeOwned> Document<T> {
    /// # Errors
    /// If the JSON does not have the shape of `T`.
    pub fn parse(json: Value) -> serde_json::Result<Self> {
        let value = T::deserialize(&json)?;
        Ok(Self { json, value })
    }
}

impl<T> Document<T> {
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.json
    }

    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Document<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Serialize for Document<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use lakeport_api::DatabaseInstance;
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_survive() {
        let answer = json!({"name": "x", "field_of_tomorrow": [1, 2]});
        let document = Document::<DatabaseInstance>::parse(answer.clone()).unwrap();
        assert_eq!(document.name, "x");
        assert_eq!(serde_json::to_value(document).unwrap(), answer);
    }
}
