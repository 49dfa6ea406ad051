//! The tokens of a statement, told apart as PostgreSQL's own scanner does with standard strings.
//!
//! Owns: quotations, comments, names. Never: what a statement means.

use crate::failure::Failure;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A key word or a plain identifier, in lower case.
    Word(String),
    /// An identifier in double quotes.
    Quoted(String),
    Literal,
    Symbol(char),
}

/// One pass over a statement.
pub(super) struct Scanner<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(sql: &'a str) -> Self {
        Self { rest: sql.chars().peekable() }
    }

    /// # Errors
    /// If a quotation or a comment has no end.
    pub(super) fn tokens(mut self) -> Result<Vec<Token>, Failure> {
        let mut tokens = Vec::new();
        while let Some(c) = self.rest.next() {
            match c {
                c if c.is_ascii_whitespace() || c == '\u{b}' => {}
                '-' if self.accept('-') => self.line_comment(),
                '/' if self.accept('*') => self.block_comment()?,
                '\'' => {
                    self.literal(false)?;
                    tokens.push(Token::Literal);
                }
                '"' => tokens.push(Token::Quoted(self.quoted()?)),
                '$' => tokens.push(self.dollar()?),
                c if starts_identifier(c) => {
                    let word = self.identifier(c);
                    tokens.push(self.prefixed(word)?);
                }
                c => tokens.push(Token::Symbol(c)),
            }
        }
        Ok(tokens)
    }

    fn accept(&mut self, wanted: char) -> bool {
        self.rest.next_if_eq(&wanted).is_some()
    }

    fn line_comment(&mut self) {
        while self.rest.next_if(|c| !matches!(c, '\n' | '\r')).is_some() {}
    }

    /// Block comments nest.
    fn block_comment(&mut self) -> Result<(), Failure> {
        let mut depth = 1;
        while depth > 0 {
            match self.rest.next() {
                Some('*') if self.accept('/') => depth -= 1,
                Some('/') if self.accept('*') => depth += 1,
                Some(_) => {}
                None => return Err(unended("a comment")),
            }
        }
        Ok(())
    }

    /// The rest of a string constant, and of what continues it on another line.
    fn literal(&mut self, escapes: bool) -> Result<(), Failure> {
        loop {
            match self.rest.next() {
                Some('\\') if escapes => {
                    self.rest.next();
                }
                Some('\'') if self.accept('\'') => {}
                Some('\'') if !self.continues() => return Ok(()),
                Some(_) => {}
                None => return Err(unended("a string")),
            }
        }
    }

    /// A constant goes on if only white space with a line break, or comments, stand before the next quote.
    fn continues(&mut self) -> bool {
        let mut ahead = Self { rest: self.rest.clone() };
        let mut has_line_break = false;
        while let Some(c) = ahead.rest.next() {
            match c {
                '\n' | '\r' => has_line_break = true,
                c if c.is_ascii_whitespace() || c == '\u{b}' => {}
                '-' if ahead.accept('-') => ahead.line_comment(),
                '\'' if has_line_break => {
                    self.rest = ahead.rest;
                    return true;
                }
                _ => return false,
            }
        }
        false
    }

    fn quoted(&mut self) -> Result<String, Failure> {
        let mut name = String::new();
        loop {
            match self.rest.next() {
                Some('"') if !self.accept('"') => return Ok(name),
                Some(c) => name.push(c),
                None => return Err(unended("a quoted name")),
            }
        }
    }

    fn identifier(&mut self, first: char) -> String {
        let mut word = String::from(first.to_ascii_lowercase());
        while let Some(c) = self.rest.next_if(|c| continues_identifier(*c)) {
            word.push(c.to_ascii_lowercase());
        }
        word
    }

    /// `E'…'`, `U&"…"` and the like begin as a word does.
    fn prefixed(&mut self, word: String) -> Result<Token, Failure> {
        let is_string = matches!(word.as_str(), "e" | "b" | "x" | "n") && self.accept('\'');
        if is_string {
            self.literal(word == "e")?;
            return Ok(Token::Literal);
        }
        let ahead: String = self.rest.clone().take(2).collect();
        if word == "u" && (ahead == "&'" || ahead == "&\"") {
            self.rest.next();
            self.rest.next();
            if ahead == "&'" {
                self.literal(false)?;
                return Ok(Token::Literal);
            }
            // Escapes are not resolved; a name that has some is taken for the worst.
            return Ok(Token::Quoted(self.quoted()? + "\\"));
        }
        Ok(Token::Word(word))
    }

    /// A parameter, or a constant in dollar quotes.
    fn dollar(&mut self) -> Result<Token, Failure> {
        let mut ahead = self.rest.clone();
        let mut tag = String::from("$");
        loop {
            match ahead.next() {
                Some('$') => {
                    tag.push('$');
                    break;
                }
                Some(c) if tag.len() == 1 && starts_identifier(c) => tag.push(c),
                Some(c) if tag.len() > 1 && continues_identifier(c) => tag.push(c),
                _ => return Ok(Token::Symbol('$')),
            }
        }
        let text: String = ahead.collect();
        let Some(end) = text.find(&tag) else { return Err(unended("a dollar-quoted string")) };
        let skipped = tag.chars().count() - 1 + text[..end + tag.len()].chars().count();
        for _ in 0..skipped {
            self.rest.next();
        }
        Ok(Token::Literal)
    }
}

fn starts_identifier(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn continues_identifier(c: char) -> bool {
    starts_identifier(c) || c.is_ascii_digit() || c == '$'
}

fn unended(what: &str) -> Failure {
    Failure::new("42601", format!("the statement has {what} without an end"))
}
