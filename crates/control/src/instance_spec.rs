//! The part of an instance that its client owns: validation, defaults and update masks. All pure.

use lakeport_api::{CustomTag, DatabaseInstance};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const CAPACITIES: &[(&str, u32)] = &[("CU_1", 1), ("CU_2", 2), ("CU_4", 4), ("CU_8", 8)];
const DEFAULT_CAPACITY: &str = "CU_1";
const DEFAULT_RETENTION_DAYS: i64 = 7;
const RETENTION_DAYS: std::ops::RangeInclusive<i64> = 2..=35;
const MAX_TAGS: usize = 50;
const MAX_TAG_CHARACTERS: usize = 256;

/// Fields that an update may name.
const MUTABLE: &[&str] = &[
    "capacity",
    "custom_tags",
    "enable_pg_native_login",
    "enable_readable_secondaries",
    "node_count",
    "retention_window_in_days",
    "stopped",
    "usage_policy_id",
];

/// Only what the client has set: a field in a response is there if and only if it is here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct InstanceSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) capacity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) custom_tags: Option<Vec<CustomTag>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enable_pg_native_login: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enable_readable_secondaries: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retention_window_in_days: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage_policy_id: Option<String>,
}

impl InstanceSpec {
    /// What a create request asks for.
    pub(crate) fn from_request(request: &DatabaseInstance) -> Result<Self> {
        if request.parent_instance_ref.is_some() {
            return Err(Error::unsupported(
                "parent_instance_ref: child instances are not supported; create the instance \
                 without a parent",
            ));
        }
        let spec = Self {
            capacity: request.capacity.clone(),
            custom_tags: request.custom_tags.clone(),
            enable_pg_native_login: request.enable_pg_native_login,
            enable_readable_secondaries: request.enable_readable_secondaries,
            node_count: request.node_count,
            retention_window_in_days: request.retention_window_in_days,
            stopped: request.stopped,
            usage_policy_id: request.usage_policy_id.clone(),
        };
        spec.check()?;
        Ok(spec)
    }

    /// What an update makes of this spec. A field that the mask names and the body lacks has its zero
    /// value; with `*` or no mask, only what the body holds changes.
    pub(crate) fn updated(&self, request: &DatabaseInstance, mask: Option<&str>) -> Result<Self> {
        let named = parse_mask(mask)?;
        let mut spec = self.clone();
        let takes = |field: &str, present: bool| match &named {
            Some(fields) => fields.iter().any(|name| name == field),
            None => present,
        };
        if takes("capacity", request.capacity.is_some()) {
            spec.capacity = request.capacity.clone().filter(|text| !text.is_empty());
        }
        if takes("custom_tags", request.custom_tags.is_some()) {
            spec.custom_tags = Some(request.custom_tags.clone().unwrap_or_default());
        }
        if takes("enable_pg_native_login", request.enable_pg_native_login.is_some()) {
            spec.enable_pg_native_login = Some(request.enable_pg_native_login.unwrap_or_default());
        }
        if takes("enable_readable_secondaries", request.enable_readable_secondaries.is_some()) {
            spec.enable_readable_secondaries =
                Some(request.enable_readable_secondaries.unwrap_or_default());
        }
        if takes("node_count", request.node_count.is_some()) {
            spec.node_count = request.node_count.filter(|count| *count != 0);
        }
        if takes("retention_window_in_days", request.retention_window_in_days.is_some()) {
            spec.retention_window_in_days =
                request.retention_window_in_days.filter(|days| *days != 0);
        }
        if takes("stopped", request.stopped.is_some()) {
            spec.stopped = Some(request.stopped.unwrap_or_default());
        }
        if takes("usage_policy_id", request.usage_policy_id.is_some()) {
            spec.usage_policy_id = request.usage_policy_id.clone().filter(|text| !text.is_empty());
        }
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<()> {
        if let Some(capacity) = &self.capacity
            && !CAPACITIES.iter().any(|(name, _)| name == capacity)
        {
            return Err(Error::invalid(
                "capacity",
                format!("\"{capacity}\" is not one of CU_1, CU_2, CU_4, CU_8"),
            ));
        }
        if let Some(days) = self.retention_window_in_days
            && !RETENTION_DAYS.contains(&days)
        {
            return Err(Error::invalid(
                "retention_window_in_days",
                format!("{days} is not between 2 and 35"),
            ));
        }
        self.check_nodes()?;
        check_tags(self.custom_tags.as_deref().unwrap_or_default())
    }

    fn check_nodes(&self) -> Result<()> {
        match self.node_count {
            None | Some(1) => {}
            Some(count @ 2..) => {
                return Err(Error::unsupported(format!(
                    "node_count: {count} nodes are not supported; an instance has one"
                )));
            }
            Some(count) => {
                return Err(Error::invalid("node_count", format!("{count} is less than 1")));
            }
        }
        if self.enable_readable_secondaries == Some(true) {
            return Err(Error::unsupported(
                "enable_readable_secondaries: readable secondaries are not supported; an instance \
                 has one node",
            ));
        }
        Ok(())
    }

    pub(crate) fn capacity(&self) -> &str {
        self.capacity.as_deref().unwrap_or(DEFAULT_CAPACITY)
    }

    pub(crate) fn units(&self) -> u32 {
        let found = CAPACITIES.iter().find(|(name, _)| *name == self.capacity());
        found.map_or(1, |(_, units)| *units)
    }

    pub(crate) fn native_login(&self) -> bool {
        self.enable_pg_native_login.unwrap_or_default()
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped.unwrap_or_default()
    }

    pub(crate) fn retention_days(&self) -> i64 {
        self.retention_window_in_days.unwrap_or(DEFAULT_RETENTION_DAYS)
    }
}

/// The fields that a mask names; none for "all that the body holds".
fn parse_mask(mask: Option<&str>) -> Result<Option<Vec<String>>> {
    let Some(mask) = mask.map(str::trim).filter(|mask| !mask.is_empty()) else { return Ok(None) };
    let mut fields = Vec::new();
    for field in mask.split(',').map(str::trim) {
        match field {
            "*" => return Ok(None),
            "name" => {}
            field if MUTABLE.contains(&field) => fields.push(field.to_owned()),
            field => {
                return Err(Error::invalid(
                    "update_mask",
                    format!("\"{field}\" cannot be updated; name some of: {}", MUTABLE.join(", ")),
                ));
            }
        }
    }
    Ok(Some(fields))
}

fn check_tags(tags: &[CustomTag]) -> Result<()> {
    if tags.len() > MAX_TAGS {
        return Err(Error::invalid("custom_tags", "at most 50 tags are accepted"));
    }
    for (index, tag) in tags.iter().enumerate() {
        let lengths = [tag.key.chars().count(), tag.value.chars().count()];
        if tag.key.is_empty() || lengths.iter().any(|length| *length > MAX_TAG_CHARACTERS) {
            return Err(Error::invalid(
                &format!("custom_tags[{index}]"),
                "a tag has a key, and neither key nor value is longer than 256 characters",
            ));
        }
        if tags[..index].iter().any(|other| other.key == tag.key) {
            return Err(Error::invalid(
                &format!("custom_tags[{index}]"),
                format!("the key \"{}\" is given twice", tag.key),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn request(json: serde_json::Value) -> DatabaseInstance {
        serde_json::from_value(json).unwrap()
    }

    fn spec(json: serde_json::Value) -> InstanceSpec {
        InstanceSpec::from_request(&request(json)).unwrap()
    }

    #[test]
    fn a_named_field_that_the_body_lacks_has_its_zero_value() {
        let before = spec(serde_json::json!({"capacity": "CU_2", "stopped": true}));
        let after = before.updated(&request(serde_json::json!({})), Some("stopped")).unwrap();
        assert_eq!(after.stopped, Some(false));
        assert_eq!(after.capacity.as_deref(), Some("CU_2"));
        let after = before.updated(&request(serde_json::json!({})), Some("capacity")).unwrap();
        assert_eq!(after.capacity, None);
        assert_eq!(after.capacity(), "CU_1");
    }

    #[test]
    fn without_a_mask_or_with_a_star_absent_fields_stay() {
        let before = spec(serde_json::json!({"capacity": "CU_2", "stopped": true}));
        let body = request(serde_json::json!({"name": "x", "capacity": "CU_4"}));
        for mask in [None, Some(""), Some("*"), Some("capacity,*")] {
            let after = before.updated(&body, mask).unwrap();
            assert_eq!(after.capacity.as_deref(), Some("CU_4"), "{mask:?}");
            assert_eq!(after.stopped, Some(true), "{mask:?}");
        }
    }

    #[test]
    fn a_mask_changes_only_what_it_names() {
        let before = spec(serde_json::json!({"capacity": "CU_2"}));
        let body = request(serde_json::json!({"capacity": "CU_4", "stopped": true}));
        let after = before.updated(&body, Some("stopped")).unwrap();
        assert_eq!(after.capacity.as_deref(), Some("CU_2"));
        assert_eq!(after.stopped, Some(true));
    }

    #[test]
    fn unknown_and_immutable_names_are_refused() {
        let before = InstanceSpec::default();
        for mask in ["nonsense", "stopped,uid", "creator", "parent_instance_ref", "stopped,,"] {
            let error = before.updated(&request(serde_json::json!({})), Some(mask)).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument, "{mask}");
        }
    }

    #[test]
    fn values_are_checked_and_the_field_is_named() {
        for (body, field, kind) in [
            (serde_json::json!({"capacity": "CU_3"}), "capacity", Kind::InvalidArgument),
            (
                serde_json::json!({"retention_window_in_days": -1}),
                "retention",
                Kind::InvalidArgument,
            ),
            (
                serde_json::json!({"retention_window_in_days": 36}),
                "retention",
                Kind::InvalidArgument,
            ),
            (serde_json::json!({"node_count": -1}), "node_count", Kind::InvalidArgument),
            (serde_json::json!({"node_count": 2}), "node_count", Kind::NotImplemented),
            (
                serde_json::json!({"enable_readable_secondaries": true}),
                "enable_r",
                Kind::NotImplemented,
            ),
            (
                serde_json::json!({"parent_instance_ref": {"name": "p"}}),
                "parent",
                Kind::NotImplemented,
            ),
            (
                serde_json::json!({"custom_tags": [{"key": "", "value": "v"}]}),
                "custom_tags[0]",
                Kind::InvalidArgument,
            ),
        ] {
            let error = InstanceSpec::from_request(&request(body)).unwrap_err();
            assert!(error.message().starts_with(field), "{error}");
            assert_eq!(error.kind(), kind, "{error}");
        }
    }

    #[test]
    fn tags_can_be_wiped() {
        let before = spec(serde_json::json!({"custom_tags": [{"key": "a", "value": "b"}]}));
        let after = before.updated(&request(serde_json::json!({})), Some("custom_tags")).unwrap();
        assert_eq!(after.custom_tags, Some(vec![]));
    }
}
