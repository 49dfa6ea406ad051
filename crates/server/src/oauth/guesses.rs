//! Bounds how often passwords may be guessed on the login page, by where the guesses come from.
//!
//! It never looks at whose password is guessed, so nobody can lock out somebody else.

use std::time::{Duration, Instant};

use lakeport_gateway::{Source, Windows};

/// Wrong passwords from one source within a minute; all further ones of it are not even checked.
const PER_MINUTE: u32 = 10;

pub(crate) struct Guesses(Windows<Source>);

/// A password that is about to be checked. It counts as a wrong one until it is known to be right, so that
/// many at once count like one after another.
pub(super) struct Guess<'a> {
    guesses: &'a Guesses,
    source: Source,
}

impl Default for Guesses {
    fn default() -> Self {
        Self(Windows::new(PER_MINUTE))
    }
}

impl Guesses {
    /// Or how long to wait before the next one.
    pub(super) fn begin(&self, source: Source) -> Result<Guess<'_>, Duration> {
        // Whoever is on this machine can do worse than guess; and behind a proxy of this machine all
        // clients are one, which must not be kept out together.
        let wait = match source {
            Source::Loopback => None,
            source => self.0.count(source, Instant::now()),
        };
        wait.map_or(Ok(Guess { guesses: self, source }), Err)
    }
}

impl Guess<'_> {
    pub(super) fn was_right(self) {
        self.guesses.0.take_back(&self.source);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use axum::Router;
    use axum::body::Body;
    use axum::http::header::{CONTENT_TYPE, COOKIE, RETRY_AFTER};
    use axum::http::{Request, StatusCode};
    use axum::response::Response;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use lakeport_api::scim::Password;

    use super::*;
    use crate::http::Peer;
    use crate::rest::router;
    use crate::world::World;

    const QUERY: &str = "response_type=code&client_id=databricks-cli&scope=all-apis\
        &redirect_uri=http%3A%2F%2Flocalhost%3A8765&state=s&code_challenge_method=S256\
        &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    async fn sign_in(router: &Router, world: &World, from: [u8; 4], password: &str) -> Response {
        let tag = world.control.vault.tag("form", "cookie");
        let proof: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let form = format!("decision=allow&proof={proof}&username=user%40x.y&password={password}");
        let mut request = Request::post(format!("/oidc/v1/authorize?{QUERY}"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, "lakeport_csrf=cookie")
            .body(Body::from(form))
            .unwrap();
        request.extensions_mut().insert(Peer((IpAddr::from(from), 1).into()));
        TowerToHyperService::new(router.clone()).call(request).await.unwrap()
    }

    #[tokio::test]
    async fn whoever_guesses_waits_and_keeps_out_only_the_own_network() {
        let world = World::new().await;
        let right = "correct-horse-battery";
        let chosen = world.control.choose_password(&world.user, Password(right.into()));
        chosen.await.unwrap();
        let router = router(world.app.clone(), &world.mcp, "http");
        let there = [192, 0, 2, 1];
        // Right ones do not count.
        for _ in 0..3 {
            let answer = sign_in(&router, &world, there, right).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        }
        for _ in 0..PER_MINUTE {
            let answer = sign_in(&router, &world, there, "wrong").await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
        for password in ["wrong", right] {
            let answer = sign_in(&router, &world, [192, 0, 2, 99], password).await;
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
            let wait: u64 = answer.headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
            assert!((1..=60).contains(&wait), "{wait}");
        }
        for elsewhere in [[198, 51, 100, 1], [127, 0, 0, 1]] {
            let answer = sign_in(&router, &world, elsewhere, right).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{elsewhere:?}");
        }
        world.end().await;
    }
}
