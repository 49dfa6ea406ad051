//! What a token is good for: its scopes, and the resource that it is bound to (RFC 8707).
//!
//! A token is for the API, as every official client wants it, or for the tools for agents alone. Scopes of
//! the tools mean nothing to the API, so a token of no other scope is never one for the API.

use url::Url;

use super::{Code, Error};

/// Everything that its owner may do.
pub const ALL_APIS: &str = "all-apis";
/// Asks for a refresh token.
const OFFLINE: &str = "offline_access";
/// Before the level of the tools that a scope allows.
pub const TOOLS: &str = "mcp:";

/// What a client may ask for.
pub const SCOPES: &[&str] = &[ALL_APIS, OFFLINE, "mcp:observe", "mcp:manage", "mcp:write"];

/// The resource that a request names, and the one that may be named.
#[derive(Debug, Clone, Copy)]
pub struct Resource<'a> {
    pub asked: Option<&'a str>,
    /// The URL of the tools, as the client reaches this server.
    pub tools: &'a str,
}

impl Resource<'_> {
    fn named(&self) -> Result<Option<String>, Error> {
        match self.asked {
            None => Ok(None),
            Some(asked) if is_same(asked, self.tools) => Ok(Some(self.tools.to_owned())),
            Some(_) => Err(self.foreign()),
        }
    }

    /// What a token is bound to whose grant is bound to `grant`: never to more.
    pub(super) fn within(&self, grant: Option<&str>) -> Result<Option<String>, Error> {
        match grant {
            None => self.named(),
            Some(grant) if self.asked.is_none_or(|asked| is_same(asked, grant)) => {
                Ok(Some(grant.to_owned()))
            }
            Some(_) => Err(self.foreign()),
        }
    }

    fn foreign(&self) -> Error {
        Error::refused(
            Code::InvalidTarget,
            format!(
                "resource: tokens of this kind are made for {} only; leave it out for one for the API",
                self.tools
            ),
        )
    }
}

/// Hosts and schemes have no case; a fragment is no part of a resource's name.
fn is_same(asked: &str, ours: &str) -> bool {
    matches!((Url::parse(asked), Url::parse(ours)), (Ok(asked), Ok(ours)) if asked == ours)
}

/// What a client gets of what it asked for.
#[derive(Debug, Clone)]
pub(super) struct Allowed {
    pub(super) scope: String,
    /// None for the API.
    pub(super) resource: Option<String>,
}

impl Allowed {
    /// What was asked for, if all of it is known; everything if nothing was.
    pub(super) fn check(scope: Option<&str>, resource: &Resource<'_>) -> Result<Self, Error> {
        let asked: Vec<_> = scope.unwrap_or_default().split_ascii_whitespace().collect();
        if let Some(unknown) = asked.iter().find(|scope| !SCOPES.contains(scope)) {
            return Err(Error::refused(
                Code::InvalidScope,
                format!("scope: \"{unknown}\" is not known; use one of: {}", SCOPES.join(" ")),
            ));
        }
        let named = resource.named()?;
        let only_tools =
            asked.iter().any(|scope| scope.starts_with(TOOLS)) && !asked.contains(&ALL_APIS);
        Ok(Self {
            scope: if asked.is_empty() { ALL_APIS.to_owned() } else { asked.join(" ") },
            resource: named.or_else(|| only_tools.then(|| resource.tools.to_owned())),
        })
    }
}

pub(super) fn has_offline(scope: &str) -> bool {
    scope.split(' ').any(|scope| scope == OFFLINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "http://127.0.0.1:8080/mcp";

    fn asking(asked: Option<&str>) -> Resource<'_> {
        Resource { asked, tools: OURS }
    }

    fn allowed(scope: &str, asked: Option<&str>) -> (String, bool) {
        let allowed = Allowed::check(Some(scope), &asking(asked)).unwrap();
        (allowed.scope, allowed.resource.is_some())
    }

    #[test]
    fn unknown_scopes_are_refused_by_name() {
        let error = Allowed::check(Some("all-apis everything"), &asking(None)).unwrap_err();
        assert!(error.to_string().contains("everything"));
    }

    #[test]
    fn scopes_of_the_tools_alone_are_not_for_the_api() {
        for (scope, asked, bound) in [
            ("", None, false),
            ("all-apis  offline_access", None, false),
            ("mcp:observe", None, true),
            ("mcp:observe offline_access", None, true),
            ("mcp:observe all-apis", None, false),
            ("all-apis", Some(OURS), true),
            ("", Some("HTTP://127.0.0.1:8080/mcp"), true),
        ] {
            assert_eq!(allowed(scope, asked).1, bound, "{scope} {asked:?}");
        }
        assert_eq!(allowed("", None).0, "all-apis");
        assert_eq!(allowed("all-apis  offline_access", None).0, "all-apis offline_access");
    }

    #[test]
    fn foreign_resources_are_refused() {
        for asked in [
            "https://elsewhere.example/mcp",
            "http://127.0.0.1:8080",
            "http://127.0.0.1:8080/mcp#x",
            "http://127.0.0.1:8080/mcp/",
            "mcp",
        ] {
            let error = Allowed::check(None, &asking(Some(asked))).unwrap_err();
            assert_eq!(error.code(), Code::InvalidTarget, "{asked}");
        }
    }

    #[test]
    fn a_token_is_bound_to_no_more_than_its_grant() {
        let name = "http://localhost:8080/mcp";
        assert_eq!(asking(None).within(Some(name)).unwrap().as_deref(), Some(name));
        assert_eq!(asking(Some(name)).within(Some(name)).unwrap().as_deref(), Some(name));
        assert_eq!(asking(Some(OURS)).within(None).unwrap().as_deref(), Some(OURS));
        assert_eq!(asking(None).within(None).unwrap(), None);
        assert!(asking(Some(OURS)).within(Some(name)).is_err());
    }
}
