//! How long to wait after a failed pass.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(30);

/// Doubles with each attempt, up to half a minute; spread, so that many do not return at once.
pub(super) fn delay(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or_default().min(10);
    let delay = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    delay.mul_f64(0.75 + spread() / 2.0)
}

/// Something between 0 and 1 that differs from call to call.
fn spread() -> f64 {
    let (bits, _) = uuid::Uuid::new_v4().as_u64_pair();
    (bits >> 40) as f64 / (1_u64 << 24) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_stop_growing() {
        for attempts in [-1, 0, 1, 5, 9, 1000] {
            let expected = FIRST.as_secs_f64() * 2_f64.powi(attempts.clamp(0, 10));
            let expected = expected.min(LONGEST.as_secs_f64());
            let delay = delay(attempts).as_secs_f64();
            assert!((0.74 * expected..=1.26 * expected).contains(&delay), "{attempts}: {delay}");
        }
    }
}
