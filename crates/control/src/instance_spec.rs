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

    /// What an update makes of this spec. A field that the mask names and the body lacks is unset; with `*`
    /// or no mask, only what the body holds changes.
    pub(crate) fn updated(&self, request: &DatabaseInstance, mask: Option<&str>) -> Result<Self> {
        let named = parse_mask(mask)?;
        let mut spec = self.clone();
        macro_rules! take {
            ($($field:ident),*) => {$(
                let taken = match &named {
                    Some(fields) => fields.iter().any(|name| name == stringify!($field)),
                    None => request.$field.is_some(),
                };
                if taken {
                    spec.$field = request.$field.clone();
                }
            )*};
        }
        take!(capacity, custom_tags, enable_pg_native_login, enable_readable_secondaries);
        take!(node_count, retention_window_in_days, stopped, usage_policy_id);
        spec.drop_empty();
        spec.check()?;
        Ok(spec)
    }

    /// Clients that cannot leave a field out send an empty text or 0 to unset it.
    fn drop_empty(&mut self) {
        for text in [&mut self.capacity, &mut self.usage_policy_id] {
            *text = text.take().filter(|text| !text.is_empty());
        }
        for number in [&mut self.node_count, &mut self.retention_window_in_days] {
            *number = number.take().filter(|number| *number != 0);
        }
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

    /// A value for each field that an update may name.
    fn everything() -> serde_json::Map<String, serde_json::Value> {
        let values = serde_json::json!({
            "capacity": "CU_2", "custom_tags": [{"key": "a", "value": "b"}],
            "enable_pg_native_login": true, "enable_readable_secondaries": false, "node_count": 1,
            "retention_window_in_days": 9, "stopped": true, "usage_policy_id": "p",
        });
        serde_json::from_value(values).unwrap()
    }

    /// The fields of which `bits` has a one.
    fn chosen(bits: usize) -> Vec<&'static str> {
        let fields = MUTABLE.iter().enumerate();
        fields.filter(|(at, _)| bits & (1 << at) != 0).map(|(_, name)| *name).collect()
    }

    #[test]
    fn whatever_the_mask_only_what_somebody_has_set_is_there() {
        let all = everything();
        let body_of = |names: &[&str]| -> serde_json::Map<_, _> {
            names.iter().map(|name| ((*name).to_owned(), all[*name].clone())).collect()
        };
        let every = 1 << MUTABLE.len();
        for before_names in [chosen(0), chosen(every - 1)] {
            let before = spec(body_of(&before_names).into());
            for (bits, named) in (0..every).flat_map(|bits| (0..every).map(move |n| (bits, n))) {
                let (body_names, mask) = (chosen(bits), chosen(named));
                let body = request(body_of(&body_names).into());
                let after = before.updated(&body, Some(&mask.join(","))).unwrap();
                let after = serde_json::to_value(&after).unwrap();
                for name in MUTABLE {
                    let kept = before_names.contains(name) && !mask.contains(name);
                    // An empty mask is none: it takes what the body holds.
                    let taken = mask.is_empty() || mask.contains(name);
                    let set = kept || (taken && body_names.contains(name));
                    assert_eq!(
                        after.get(name),
                        set.then(|| &all[*name]),
                        "{mask:?} {body_names:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_named_field_that_the_body_lacks_is_unset_and_has_its_default() {
        let before = spec(everything().into());
        let nothing = request(serde_json::json!({}));
        let after = before.updated(&nothing, Some(&MUTABLE.join(","))).unwrap();
        assert_eq!(after, InstanceSpec::default());
        assert_eq!((after.capacity(), after.retention_days()), ("CU_1", 7));
        assert!(!after.stopped() && !after.native_login());
    }

    #[test]
    fn what_was_set_to_its_default_stays_set() {
        let body = serde_json::json!({"stopped": false, "custom_tags": [], "node_count": 1});
        let after = spec(everything().into()).updated(&request(body.clone()), None).unwrap();
        let after = serde_json::to_value(&after).unwrap();
        for (name, value) in body.as_object().unwrap() {
            assert_eq!(after.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn an_empty_text_or_zero_unsets() {
        let body = serde_json::json!({
            "capacity": "", "usage_policy_id": "", "node_count": 0, "retention_window_in_days": 0,
        });
        let after = spec(everything().into()).updated(&request(body), None).unwrap();
        let left = serde_json::to_value(&after).unwrap();
        let left: Vec<_> = left.as_object().unwrap().keys().cloned().collect();
        let kept =
            ["custom_tags", "enable_pg_native_login", "enable_readable_secondaries", "stopped"];
        assert_eq!(left, kept);
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
}
