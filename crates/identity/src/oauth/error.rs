//! The errors of RFC 6749, and of RFC 8707, RFC 9396 and OpenID Connect where theirs say more.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    InvalidScope,
    InvalidTarget,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
    InvalidAuthorizationDetails,
    InteractionRequired,
    AccessDenied,
    ServerError,
    TemporarilyUnavailable,
}

impl Code {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::InteractionRequired => "interaction_required",
            Self::AccessDenied => "access_denied",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The description names the parameter, what was wrong and what to do.
    #[error("{description}")]
    Refused { code: Code, description: String },
    /// Another server is needed and does not answer.
    #[error("{0}")]
    Unavailable(String),
    #[error(transparent)]
    Failed(#[from] crate::Error),
}

impl Error {
    pub fn refused(code: Code, description: impl Into<String>) -> Self {
        Self::Refused { code, description: description.into() }
    }

    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Unavailable(_) => Code::TemporarilyUnavailable,
            Self::Failed(_) => Code::ServerError,
        }
    }
}

impl From<lakeport_store::Error> for Error {
    fn from(error: lakeport_store::Error) -> Self {
        Self::Failed(error.into())
    }
}
