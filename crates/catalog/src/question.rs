//! What an outside catalog can be asked about what lies in it, as requests of the Unity Catalog REST API.

use crate::join_name;

/// One page of a list, in the words of the server that is asked: its tokens mean nothing to anybody else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Paging<'a> {
    pub max_results: Option<i64>,
    pub page_token: Option<&'a str>,
}

#[derive(Debug, Clone, Copy)]
pub enum Question<'a> {
    Catalog,
    Schemas(Paging<'a>),
    Schema(&'a str),
    /// The tables of a schema.
    Tables(&'a str, Paging<'a>),
    /// A schema and a table of it.
    Table(&'a str, &'a str),
    /// Patterns of SQL's LIKE for schemas and tables.
    Summaries(Option<&'a str>, Option<&'a str>, Paging<'a>),
}

pub(crate) type Query = Vec<(&'static str, String)>;

impl Question<'_> {
    /// Below `/api/2.1/unity-catalog`, with the catalog's name on that server.
    pub(crate) fn request(&self, catalog: &str) -> (Vec<String>, Query) {
        let path = |kind: &str, name: &[&str]| vec![kind.to_owned(), join_name(name)];
        let list = |kind: &str| vec![kind.to_owned()];
        let of_catalog = || vec![("catalog_name", catalog.to_owned())];
        match self {
            Self::Catalog => (path("catalogs", &[catalog]), Vec::new()),
            Self::Schema(schema) => (path("schemas", &[catalog, schema]), Vec::new()),
            Self::Table(schema, table) => (path("tables", &[catalog, schema, table]), Vec::new()),
            Self::Schemas(paging) => (list("schemas"), paging.added_to(of_catalog())),
            Self::Tables(schema, paging) => {
                let mut query = of_catalog();
                query.push(("schema_name", (*schema).to_owned()));
                (list("tables"), paging.added_to(query))
            }
            Self::Summaries(schemas, tables, paging) => {
                let mut query = of_catalog();
                let patterns = [("schema_name_pattern", schemas), ("table_name_pattern", tables)];
                for (name, pattern) in patterns {
                    query.extend(pattern.map(|pattern| (name, pattern.to_owned())));
                }
                (list("table-summaries"), paging.added_to(query))
            }
        }
    }
}

impl Paging<'_> {
    fn added_to(&self, mut query: Query) -> Query {
        query.extend(self.max_results.map(|most| ("max_results", most.to_string())));
        query.extend(self.page_token.map(|token| ("page_token", token.to_owned())));
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_paths_and_queries() {
        let paging = Paging { max_results: Some(0), page_token: Some("a&b") };
        let (path, query) = Question::Tables("s", paging).request("main");
        assert_eq!(path, ["tables"]);
        let named = |name: &str| query.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        assert_eq!(named("catalog_name"), Some("main"));
        assert_eq!(named("schema_name"), Some("s"));
        assert_eq!((named("max_results"), named("page_token")), (Some("0"), Some("a&b")));
        assert_eq!(Question::Table("a.b", "t").request("main").0, ["tables", "main.`a.b`.t"]);
    }
}
