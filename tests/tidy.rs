//! Reads the sources and holds them to the design: layers, unsafe code, panics, sizes.
//!
//! **Invariants**
//! 1. A module names only modules below it (`CRATES`), and only the edges name the runtime, JavaScript or SQLite's Rust API.
//! 2. Unsafe code is in `vfs/ffi` of the engine only. Nothing outside tests can panic on purpose.
//! 3. Every file opens with `//!`, no file has more than 500 lines and no function more than 70.
//!
//! The reading is by lines, of rustfmt's layout; it is no parser.
//!
//! **Not here:** what the compiler and clippy hold already.

use std::path::{Path, PathBuf};

/// Modules of a crate, and what each may name of it.
type Layers = [(&'static str, &'static [&'static str])];

/// The crates, and what each module in them may name of its own crate: what is below it.
const CRATES: [(&str, &Layers); 3] = [
    (
        "crates/protocol/src",
        &[
            ("page", &[]),
            ("txid", &[]),
            ("checksum", &[]),
            ("bookmark", &[]),
            ("commit", &[]),
            ("position", &[]),
            ("sql", &["sql"]),
            ("d1", &["d1", "sql"]),
        ],
    ),
    (
        "crates/engine/src",
        &[
            ("commit_log", &["commit_log"]),
            ("store", &["store", "commit_log"]),
            ("replica", &["replica", "store", "commit_log"]),
            ("session", &["replica"]),
            ("settings", &[]),
            ("primary", &["primary", "settings"]),
            ("vfs", &["vfs", "store"]),
            ("engine", &["engine", "vfs", "store"]),
            ("answer", &["answer", "engine", "session"]),
        ],
    ),
    (
        "src",
        &[
            ("runtime", &["runtime"]),
            ("client", &["client", "runtime"]),
            ("migrate", &["migrate", "client"]),
            ("edge", &["edge", "client", "runtime"]),
            ("worker", &["worker", "edge", "runtime"]),
        ],
    ),
];

/// The only folder with unsafe code.
const UNSAFE: &str = "crates/engine/src/vfs/ffi";
const MAX_FILE_LINES: usize = 500;
const MAX_FUNCTION_LINES: usize = 70;

struct Source {
    /// Relative to the repository: `crates/engine/src/store/mod.rs`.
    path: String,
    text: String,
}

impl Source {
    /// The first folder or file below `src`: `store`.
    fn module(&self) -> &str {
        let below = self.path.split_once("src/").map_or(&*self.path, |(_, below)| below);
        below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
    }

    /// The code outside tests and comments, with line numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = self.path.ends_with("/tests.rs") || self.path.contains("/simulation/") || self.path.starts_with("tests/");
        let lines = self.text.lines().enumerate().take_while(|(_, line)| *line != "#[cfg(test)]" && *line != "mod tests {");
        lines.filter(move |(_, line)| !is_test && !line.trim_start().starts_with("//")).map(|(index, line)| (index + 1, line))
    }

    fn starts_with_any(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join(folder)];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.extend((!path.ends_with("node_modules")).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                sources.push(Source { path: path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!sources.is_empty(), "{folder} has sources");
    sources
}

/// What is compiled into the crates.
fn shipped() -> Vec<Source> {
    CRATES.iter().flat_map(|(folder, _)| sources(folder)).collect()
}

fn all() -> Vec<Source> {
    shipped().into_iter().chain(["tests", "crates/engine/tests"].into_iter().flat_map(sources)).collect()
}

/// Fails with all findings at once.
fn assert_none(findings: Vec<String>, rule: &str) {
    assert!(findings.is_empty(), "{rule}:\n{}", findings.join("\n"));
}

/// Lines of code outside tests that hold one of `words`, in sources that `may_not` hold them.
fn lines_with(words: &[&str], may_not: impl Fn(&Source) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in shipped().iter().filter(|source| may_not(source)) {
        for (number, line) in source.code() {
            if let Some(word) = words.iter().find(|word| holds_word(line, word)) {
                found.push(format!("{}:{number}: {word}: {}", source.path, line.trim()));
            }
        }
    }
    found
}

/// Whether `word` stands in `line` with no letter before it.
fn holds_word(line: &str, word: &str) -> bool {
    let begins_name = |at: usize| line[..at].chars().next_back().is_some_and(|before| before.is_alphanumeric() || before == '_');
    line.match_indices(word).any(|(at, _)| !begins_name(at))
}

#[test]
fn modules_name_only_what_is_below_them() {
    let mut findings = Vec::new();
    for (folder, layers) in CRATES {
        for source in sources(folder).iter().filter(|source| source.module() != "lib") {
            let Some((_, below)) = layers.iter().find(|(module, _)| *module == source.module()) else {
                findings.push(format!("{}: its module is not in CRATES", source.path));
                continue;
            };
            for (number, line) in source.code() {
                for (at, _) in line.match_indices("crate::").filter(|(at, _)| !line[..*at].ends_with('$')) {
                    let name: String = line[at + 7..].chars().take_while(|one| one.is_alphanumeric() || *one == '_').collect();
                    // Types at a crate's root are the vocabulary's.
                    let is_module = name.starts_with(char::is_lowercase);
                    if is_module && !below.contains(&&*name) {
                        findings.push(format!("{}:{number}: names {name:?}: {}", source.path, line.trim()));
                    }
                }
            }
        }
    }
    assert_none(findings, "a module names only modules below it");
}

#[test]
fn the_binding_does_not_know_the_engine() {
    let binding = ["src/client/", "src/migrate.rs", "crates/protocol/"];
    assert_none(lines_with(&["littoral_engine"], |source| source.starts_with_any(&binding)), "the binding needs no C compiler");
}

#[test]
fn the_vocabulary_knows_neither_sqlite_nor_serde_nor_storage() {
    let is_vocabulary = |source: &Source| source.path.starts_with("crates/protocol/") && !["d1", "sql"].contains(&source.module());
    let words = ["rusqlite", "serde", "worker::", "js_sys", "std::fs", "std::io"];
    assert_none(lines_with(&words, is_vocabulary), "the vocabulary does no I/O");
}

#[test]
fn only_the_edges_know_the_runtime_and_javascript() {
    // Migrations are handed to request handlers, whose errors are the runtime's.
    let edges =
        ["src/worker", "src/client", "src/migrate.rs", "src/runtime", "src/edge/binding.rs", "src/edge/isolate.rs", "src/edge/route.rs"];
    let words = ["worker::", "js_sys::", "wasm_bindgen::", "web_sys::", "#[wasm_bindgen"];
    // `mod worker` and `crate::worker` are ours.
    let found = lines_with(&words, |source| !source.starts_with_any(&edges)).into_iter().filter(|line| !line.contains("crate::worker"));
    assert_none(found.collect(), "the runtime is known at the edges only");
}

#[test]
fn only_the_engine_and_what_is_below_know_sqlite() {
    let places = ["crates/engine/src/engine", "crates/engine/src/vfs", "crates/engine/src/store/durable/host.rs"];
    assert_none(lines_with(&["rusqlite", "sqlite3_"], |source| !source.starts_with_any(&places)), "SQLite's API stays in the engine");
}

#[test]
fn unsafe_code_is_in_one_folder() {
    let words = ["unsafe ", "unsafe{", "allow(unsafe_code)"];
    assert_none(lines_with(&words, |source| !source.path.starts_with(UNSAFE)), "unsafe code is in one folder only");
    for source in sources(UNSAFE) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let is_block = line.contains("unsafe {") && !line.trim_start().starts_with("//");
            let explained = lines[index.saturating_sub(4)..index].iter().any(|line| line.contains("SAFETY:"));
            assert!(!is_block || explained, "{}:{}: an unsafe block says why it is safe", source.path, index + 1);
        }
    }
}

#[test]
fn nothing_panics_on_purpose() {
    let words = ["unwrap()", "expect(", "panic!", "todo!", "unimplemented!", "unreachable!", "dbg!", "println!", "eprintln!"];
    assert_none(lines_with(&words, |_| true), "no panics and no prints outside tests");
    // Registering the VFS may assert: without it there is nothing to run.
    let asserts = ["assert!", "assert_eq!", "assert_ne!"];
    let found = lines_with(&asserts, |source| !source.path.starts_with(UNSAFE));
    // The Worker's own tests have a trap set.
    assert_none(found.into_iter().filter(|line| !line.contains("on purpose")).collect(), "no asserts outside tests");
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    let mut findings = Vec::new();
    for Source { path, text } in &all() {
        if !text.starts_with("//! ") {
            findings.push(format!("{path}: does not open with `//!`"));
        }
        let lines = text.lines().count();
        if lines > MAX_FILE_LINES {
            findings.push(format!("{path}: {lines} lines"));
        }
    }
    assert_none(findings, "every file opens with `//!` and is short");
}

#[test]
fn functions_are_short() {
    let mut findings = Vec::new();
    for source in &all() {
        let mut open: Option<(usize, &str, usize)> = None;
        for (index, line) in source.text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let is_start = (line.contains(" fn ") || line.trim_start().starts_with("fn "))
                && !line.trim_start().starts_with("//")
                && !line.contains(';');
            match open {
                None if is_start => open = Some((index, line.trim(), indent)),
                Some((start, name, at)) if indent == at && line.trim_start().starts_with('}') => {
                    let lines = index - start + 1;
                    if lines > MAX_FUNCTION_LINES {
                        findings.push(format!("{}:{}: {lines} lines: {name}", source.path, start + 1));
                    }
                    open = None;
                }
                None | Some(_) => {}
            }
        }
    }
    assert_none(findings, "functions are short");
}
