//! HTML pages: plain, without scripts, readable by every browser and screen reader.

use std::fmt::Write;

use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse, Response};

const STYLE: &str = "\
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 26rem; margin: 4rem auto; padding: 0 1rem; }
.brand { font-weight: 600; letter-spacing: .02em; border-bottom: 1px solid #8888; }
h1 { font-size: 1.4rem; }
label { display: block; margin-top: 1rem; }
input, button { font: inherit; border: 1px solid #767676; border-radius: .3rem; }
input { box-sizing: border-box; width: 100%; padding: .5rem; }
button { margin: 1.5rem .5rem 0 0; padding: .5rem 1rem; cursor: pointer; }
button:first-of-type { background: #0b57d0; border-color: #0b57d0; color: #fff; }
:focus-visible { outline: 3px solid; outline-offset: 2px; }
[role=alert] { border-left: .3rem solid #b00020; padding-left: .8rem; }
";

pub(super) async fn style() -> Response {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, STYLE).into_response()
}

/// A page under construction. Text is escaped where it is put in.
pub(super) struct Page {
    title: &'static str,
    body: String,
    /// Where a form of this page may lead besides this server.
    leads_to: Option<String>,
}

impl Page {
    pub(super) fn new(title: &'static str) -> Self {
        Self { title, body: String::new(), leads_to: None }
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.markup(format_args!("<p>{}</p>", Escaped(text)))
    }

    pub(super) fn alert(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.markup(format_args!("<p role=\"alert\">{}</p>", Escaped(text))),
            None => self,
        }
    }

    /// A form with its fields between.
    pub(super) fn form(self, action: &str, proof: &str, fields: impl FnOnce(Self) -> Self) -> Self {
        let opened = self.markup(format_args!(
            "<form method=\"post\" action=\"{}\">\
             <input type=\"hidden\" name=\"proof\" value=\"{}\">",
            Escaped(action),
            Escaped(proof)
        ));
        fields(opened).markup(format_args!("</form>"))
    }

    pub(super) fn hidden(self, name: &str, value: &str) -> Self {
        self.markup(format_args!(
            "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
            Escaped(value)
        ))
    }

    pub(super) fn field(self, label: &str, name: &str, kind: &str, autocomplete: &str) -> Self {
        self.markup(format_args!(
            "<label for=\"{name}\">{label}</label>\
             <input id=\"{name}\" name=\"{name}\" type=\"{kind}\" autocomplete=\"{autocomplete}\" \
             autocapitalize=\"none\" spellcheck=\"false\" required>"
        ))
    }

    /// Leaving is possible with empty fields.
    pub(super) fn button(self, label: &str, decision: &str, needs_fields: bool) -> Self {
        let validate = if needs_fields { "" } else { " formnovalidate" };
        self.markup(format_args!(
            "<button name=\"decision\" value=\"{decision}\"{validate}>{label}</button>"
        ))
    }

    pub(super) fn link(self, label: &str, href: &str) -> Self {
        self.markup(format_args!("<p><a href=\"{}\">{}</a></p>", Escaped(href), Escaped(label)))
    }

    pub(super) fn leads_to(mut self, origin: String) -> Self {
        self.leads_to = Some(origin);
        self
    }

    fn markup(mut self, markup: std::fmt::Arguments<'_>) -> Self {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(markup);
        self
    }

    pub(super) fn response(self, status: StatusCode) -> Response {
        // Browsers hold the redirect that answers a form against this too.
        let leads_to = self.leads_to.map(|origin| format!(" {origin}")).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src 'self'; form-action 'self'{leads_to}; \
             frame-ancestors 'none'; base-uri 'none'"
        );
        let headers = [
            (CONTENT_TYPE, String::from("text/html; charset=utf-8")),
            (CONTENT_SECURITY_POLICY, policy),
            (X_FRAME_OPTIONS, String::from("DENY")),
            (X_CONTENT_TYPE_OPTIONS, String::from("nosniff")),
            (REFERRER_POLICY, String::from("no-referrer")),
            (CACHE_CONTROL, String::from("no-store")),
        ];
        let html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{title} – Lakeport</title>\
             <link rel=\"stylesheet\" href=\"/oidc/style.css\"></head>\
             <body><main><p class=\"brand\">Lakeport</p><h1>{title}</h1>{body}</main></body></html>",
            title = self.title,
            body = self.body,
        );
        (status, headers, html).into_response()
    }
}

struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_becomes_markup() {
        let page = Page::new("t").text("<b>'&\"").form("/x?a=\"", "p", |page| page);
        assert!(page.body.contains("&lt;b&gt;&#39;&amp;&quot;"));
        assert!(page.body.contains("action=\"/x?a=&quot;\""));
        assert!(!page.body.contains("<b>"));
    }
}
