//! Positional arguments that can be given by flag as well: those given by flag leave their place free.
//!
//! Owns: who gets which. Never: what they mean.

use crate::failure::Failure;

/// `flags` are the values given by flag, in the order of the positions. The answer has the same order.
pub(crate) fn assign<const N: usize>(
    positionals: Vec<String>,
    mut flags: [Option<String>; N],
) -> Result<[Option<String>; N], Failure> {
    let mut given = positionals.into_iter();
    for slot in flags.iter_mut().filter(|slot| slot.is_none()) {
        *slot = given.next();
    }
    match given.next() {
        Some(extra) => Err(Failure::usage(format!("`{extra}` is one argument too many"))
            .hint("a value is given by position or by flag, not both")),
        None => Ok(flags),
    }
}

pub(crate) fn required(value: Option<String>, what: &str) -> Result<String, Failure> {
    value.ok_or_else(|| {
        Failure::usage(format!("{what} is missing")).hint("--help shows the command's arguments")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn flags_leave_their_place_to_the_next() {
        let both = vec![String::from("x"), String::from("stopped")];
        assert_eq!(assign(both.clone(), [None, None]).unwrap(), [some("x"), some("stopped")]);
        let mask = vec![String::from("stopped")];
        assert_eq!(assign(mask, [some("x"), None]).unwrap(), [some("x"), some("stopped")]);
        assert_eq!(assign(vec![], [some("x"), None]).unwrap(), [some("x"), None]);
        assert!(assign(both, [some("x"), None]).is_err());
    }
}
