//! Which call a request is, by its method and path.

use super::Refusal;
use matchit::Router;
use percent_encoding::percent_decode_str;

/// A call of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `GET /database`
    List,
    /// `POST /database`
    Create,
    /// `GET /database/{id}`
    Get,
    /// `PUT` or `PATCH /database/{id}`
    Update,
    /// `DELETE /database/{id}`
    Delete,
    /// `POST /database/{id}/query`: rows are objects.
    Query,
    /// `POST /database/{id}/raw`: rows are arrays.
    Raw,
    /// `GET /database/{id}/time_travel/bookmark`
    Bookmark,
    /// `POST /database/{id}/time_travel/restore`
    Restore,
    /// `POST /database/{id}/promote` (Littoral's): a branch becomes the next commit of its parent.
    Promote,
    /// `GET /database/{id}/diff` (Littoral's): what differs between two states.
    Diff,
    /// `POST /database/{id}/export`
    Export,
    /// `GET /database/{id}/export/{file}`: the text, for whoever has the address.
    Download,
    /// `POST /database/{id}/import`
    Import,
    /// `PUT /database/{id}/import/{file}`: a file, from whoever has the address.
    Upload,
}

impl Operation {
    /// Whether it is for whoever has a signed address, instead of a token.
    pub const fn is_by_address(self) -> bool {
        matches!(self, Operation::Download | Operation::Upload)
    }
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What is to be done.
    pub operation: Operation,
    /// The database's id or name; empty where it is for all.
    pub database: String,
}

/// What a path may be called with.
type Methods = &'static [(&'static str, Operation)];

const ROUTES: [(&str, Methods); 12] = [
    ("/client/v4/accounts/:account/d1/database", &[("GET", Operation::List), ("POST", Operation::Create)]),
    (
        "/client/v4/accounts/:account/d1/database/:database",
        &[("GET", Operation::Get), ("PUT", Operation::Update), ("PATCH", Operation::Update), ("DELETE", Operation::Delete)],
    ),
    ("/client/v4/accounts/:account/d1/database/:database/query", &[("POST", Operation::Query)]),
    ("/client/v4/accounts/:account/d1/database/:database/raw", &[("POST", Operation::Raw)]),
    ("/client/v4/accounts/:account/d1/database/:database/time_travel/bookmark", &[("GET", Operation::Bookmark)]),
    ("/client/v4/accounts/:account/d1/database/:database/time_travel/restore", &[("POST", Operation::Restore)]),
    ("/client/v4/accounts/:account/d1/database/:database/promote", &[("POST", Operation::Promote)]),
    ("/client/v4/accounts/:account/d1/database/:database/diff", &[("GET", Operation::Diff)]),
    ("/client/v4/accounts/:account/d1/database/:database/export", &[("POST", Operation::Export)]),
    ("/client/v4/accounts/:account/d1/database/:database/export/:file", &[("GET", Operation::Download)]),
    ("/client/v4/accounts/:account/d1/database/:database/import", &[("POST", Operation::Import)]),
    ("/client/v4/accounts/:account/d1/database/:database/import/:file", &[("PUT", Operation::Upload)]),
];

thread_local! {
    static ROUTER: Router<Methods> = router();
}

fn router() -> Router<Methods> {
    let mut router = Router::new();
    for (path, methods) in ROUTES {
        // Paths that contradict one another are found by a test.
        let _ = router.insert(path, methods);
    }
    router
}

/// What a request is for. Any account is taken: there is one.
pub fn route(method: &str, path: &str) -> Result<Target, Refusal> {
    ROUTER.with(|router| {
        let found = router.at(path).map_err(|_| Refusal::no_route(path))?;
        let Some((_, operation)) = found.value.iter().find(|(known, _)| *known == method) else {
            let allowed: Vec<&str> = found.value.iter().map(|(known, _)| *known).collect();
            return Err(Refusal::no_method(method, &allowed.join(", ")));
        };
        let database = percent_decode_str(found.params.get("database").unwrap_or_default()).decode_utf8();
        let database = database.map_err(|_| Refusal::malformed(&"the database in the path is no UTF-8"))?;
        Ok(Target { operation: *operation, database: database.into_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "/client/v4/accounts/a/d1/database";

    #[test]
    fn every_route_is_found() {
        let mut count = 0;
        for (path, methods) in ROUTES {
            let path = path.replace(":account", "0123").replace(":database", "x%2Fy").replace(":file", "f.sql");
            for (method, operation) in methods {
                let target = route(method, &path).unwrap();
                let database = if path.contains("x%2F") { "x/y" } else { "" };
                assert_eq!((target.operation, &*target.database), (*operation, database), "{method} {path}");
                count += 1;
            }
        }
        assert_eq!(count, 16);
    }

    #[test]
    fn others_are_told_apart() {
        let status = |method: &str, path: &str| route(method, path).unwrap_err().status;
        assert_eq!(status("GET", "/client/v4/accounts/a/d1"), 404);
        assert_eq!(status("GET", &format!("{BASE}/x/y")), 404);
        assert_eq!(status("GET", &format!("{BASE}/x/query")), 405);
        assert_eq!(status("get", &format!("{BASE}/x")), 405);
        assert_eq!(status("GET", &format!("{BASE}/%ff")), 400);
    }
}
