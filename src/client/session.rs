//! Sessions that go on from request to request: the client keeps the bookmark, in a cookie and in a header.
//!
//! ```no_run
//! # #[cfg(target_arch = "wasm32")]
//! # async fn handler(request: worker::Request, env: worker::Env) -> worker::Result<worker::Response> {
//! use littoral::client::{Database, SessionOptions};
//! let session = Database::from_env(&env, "DB")?.open_session(&request, SessionOptions::default());
//! let visits: Option<i64> = session.prepare("SELECT count(*) AS n FROM visits").first(Some("n")).await?;
//! session.save(worker::Response::from_json(&visits)?)
//! # }
//! ```
//!
//! **Invariants**
//! 1. Nothing that a request carries is an error here: what is no bookmark counts as none.
//! 2. A response tells a bookmark only where it is newer than the one that the request carried.
//! 3. `js/src/session.js` has the same names and defaults, so Workers in both languages can share a client.
//!
//! **Not here:** how a session reads and advances (`mod.rs`).

use super::{D1DatabaseSession, Database, SessionConstraint};
use std::ops::Deref;
use std::time::Duration;

const SET_COOKIE: &str = "set-cookie";

/// Where a client keeps its bookmark between requests. With several databases, each needs names of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Where a session begins whose request carries no bookmark.
    pub constraint: SessionConstraint,
    /// The header of requests and responses; `None` to use none.
    pub header: Option<&'static str>,
    /// The name of the cookie; `None` to use none.
    pub cookie: Option<&'static str>,
    /// The cookie's path.
    pub path: &'static str,
    /// How long the client keeps the cookie.
    pub max_age: Duration,
    /// Whether the cookie is for HTTPS only. Not every browser takes such a cookie from `http://localhost`.
    pub secure: bool,
}

/// The names of D1's documentation; six hours, and HTTPS only.
impl Default for SessionOptions {
    fn default() -> SessionOptions {
        SessionOptions {
            constraint: SessionConstraint::FirstUnconstrained,
            header: Some("x-d1-bookmark"),
            cookie: Some("d1-bookmark"),
            path: "/",
            max_age: Duration::from_secs(6 * 60 * 60),
            secure: true,
        }
    }
}

impl SessionOptions {
    /// The newest bookmark that a request carries.
    fn carried(&self, header: impl Fn(&str) -> Option<String>) -> Option<String> {
        let alone = self.header.and_then(&header);
        let cookies = self.cookie.and_then(|name| Some((name, header("cookie")?)));
        let in_cookies = cookies.iter().flat_map(|(name, cookies)| {
            let pairs = cookies.split(';').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| key.trim() == *name).map(|(_, value)| value)
        });
        let found = in_cookies.chain(alone.as_deref()).map(str::trim).filter(|text| is_bookmark(text));
        // They sort as text.
        found.max().map(String::from)
    }

    fn set_cookie(&self, value: &str, max_age: Duration) -> Option<(&'static str, String)> {
        let SessionOptions { cookie, path, secure, .. } = self;
        let secure = if *secure { "; Secure" } else { "" };
        let cookie = (*cookie)?;
        Some((SET_COOKIE, format!("{cookie}={value}; Path={path}; Max-Age={}; HttpOnly; SameSite=Lax{secure}", max_age.as_secs())))
    }
}

/// Whether `text` has the shape of a bookmark: D1's and Littoral's, or that of workerd's own D1.
fn is_bookmark(text: &str) -> bool {
    let digits = |group: &str| group.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')).then_some(group.len());
    let lengths: Option<Vec<usize>> = text.split('-').map(digits).collect();
    matches!(lengths.as_deref(), Some([8, 8, 8, 32] | [12, 8]))
}

/// A session of one request, which began where the client's last request had ended.
#[derive(Clone)]
pub struct RequestSession {
    session: D1DatabaseSession,
    carried: Option<String>,
    options: SessionOptions,
}

impl Deref for RequestSession {
    type Target = D1DatabaseSession;

    fn deref(&self) -> &D1DatabaseSession {
        &self.session
    }
}

impl Database {
    /// A session that begins at the newest bookmark among the request's headers, or else at the constraint. `header` looks one up.
    pub fn open_session_with(&self, header: impl Fn(&str) -> Option<String>, options: SessionOptions) -> RequestSession {
        let carried = options.carried(header);
        let session = self.with_session(Some(carried.as_deref().unwrap_or(options.constraint.as_str())));
        RequestSession { session, carried, options }
    }
}

impl RequestSession {
    /// The headers that tell the client how far the session has come; none where it is no further than the request was.
    /// The cookie goes beside those that a response has already.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let Some(bookmark) = self.get_bookmark().filter(|newest| self.carried.as_ref() < Some(newest)) else { return Vec::new() };
        let cookie = self.options.set_cookie(&bookmark, self.options.max_age);
        self.options.header.map(|name| (name, bookmark)).into_iter().chain(cookie).collect()
    }

    /// The headers that have the client forget the session: its next one begins anew. For a bookmark that the database has refused,
    /// see [`Error::is_bookmark`](super::Error::is_bookmark).
    pub fn headers_to_forget(&self) -> Vec<(&'static str, String)> {
        self.options.set_cookie("", Duration::ZERO).into_iter().collect()
    }
}

#[cfg(target_arch = "wasm32")]
impl Database {
    /// A session that begins at the bookmark that the request carries, or else at the constraint.
    pub fn open_session(&self, request: &worker::Request, options: SessionOptions) -> RequestSession {
        self.open_session_with(|name| request.headers().get(name).ok().flatten(), options)
    }
}

#[cfg(target_arch = "wasm32")]
impl RequestSession {
    /// The response, which also tells the client how far the session has come. To be called after the session's last query.
    pub fn save(&self, response: worker::Response) -> worker::Result<worker::Response> {
        with_headers(response, &self.headers())
    }

    /// The response, which also has the client forget the session.
    pub fn forget(&self, response: worker::Response) -> worker::Result<worker::Response> {
        with_headers(response, &self.headers_to_forget())
    }
}

#[cfg(target_arch = "wasm32")]
fn with_headers(response: worker::Response, added: &[(&'static str, String)]) -> worker::Result<worker::Response> {
    // A copy, since those of a response that was fetched cannot be changed.
    let headers = response.headers().clone();
    for (name, value) in added {
        if *name == SET_COOKIE {
            headers.append(name, value)?
        } else {
            headers.set(name, value)?
        };
    }
    Ok(response.with_headers(headers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OLD: &str = "00000000-0000002a-00000003-0123456789abcdef0000019a00000000";
    const NEW: &str = "00000000-0000002b-00000003-0123456789abcdef0000019a00000001";
    const ANY: SessionOptions = SessionOptions {
        constraint: SessionConstraint::FirstUnconstrained,
        header: Some("x-d1-bookmark"),
        cookie: Some("d1-bookmark"),
        path: "/",
        max_age: Duration::from_secs(60),
        secure: false,
    };

    /// The bookmark carried by a request with these two headers.
    fn carried(options: SessionOptions, header: &str, cookie: &str) -> Option<String> {
        options.carried(|name| match name {
            "cookie" => Some(cookie.to_owned()),
            name => (name == "x-d1-bookmark").then(|| header.to_owned()),
        })
    }

    #[test]
    fn the_newest_bookmark_wins() {
        let cookie = |value: &str| format!("a=b; d1-bookmark={value};xd1-bookmark={NEW}; theme=dark");
        let cases = [
            (ANY, OLD, cookie(NEW), Some(NEW)),
            (ANY, NEW, cookie(OLD), Some(NEW)),
            (ANY, "", cookie(OLD), Some(OLD)),
            (ANY, "first-primary", format!("{}; d1-bookmark={NEW}", cookie("x")), Some(NEW)),
            (ANY, "019a1b2c3d4e-0000002a", String::new(), Some("019a1b2c3d4e-0000002a")),
            (SessionOptions { cookie: None, ..ANY }, OLD, cookie(NEW), Some(OLD)),
            (SessionOptions { header: None, ..ANY }, NEW, cookie(OLD), Some(OLD)),
            (SessionOptions { header: None, cookie: Some("other"), ..ANY }, NEW, cookie(NEW), None),
        ];
        for (options, header, cookie, expected) in cases {
            assert_eq!(carried(options, header, &cookie).as_deref(), expected, "{header} | {cookie}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_request_carries_only_a_bookmark_counts(header in ".{0,80}", before in ".{0,40}", value in "[0-9a-f-]{0,60}|.{0,80}") {
            let found = carried(ANY, &header, &format!("{before};d1-bookmark={value}; d1-bookmark={OLD}"));
            prop_assert!(found.is_some_and(|found| is_bookmark(&found)));
            prop_assert_eq!(carried(ANY, &header, &format!("{before}; d1-bookmark=x{value}")), None);
        }

        #[test]
        fn a_cookie_that_was_set_is_read_back(bookmark in "[0-9a-f]{8}(-[0-9a-f]{8}){2}-[0-9a-f]{32}", secure: bool) {
            prop_assert!(is_bookmark(&bookmark));
            let (_, set) = SessionOptions { secure, ..ANY }.set_cookie(&bookmark, ANY.max_age).unwrap();
            let (pair, attributes) = set.split_once("; ").unwrap();
            let expected = format!("Path=/; Max-Age=60; HttpOnly; SameSite=Lax{}", if secure { "; Secure" } else { "" });
            prop_assert_eq!(attributes, expected);
            prop_assert_eq!(carried(ANY, "", &format!("a=b; {pair}")), Some(bookmark));
        }
    }

    #[test]
    fn almost_bookmarks_are_none() {
        for bad in ["", "-", &OLD.to_uppercase(), &OLD[1..], &format!("{OLD}0"), &OLD.replace('-', "+"), &format!("{OLD}-"), "019a1b2c3d4e"]
        {
            assert!(!is_bookmark(bad), "{bad}");
        }
    }
}
