//! Reads the sources and holds them to the design: layers, unsafe code, panics, sizes.
//!
//! **Invariants**
//! 1. A module names only modules below it (`CRATES`), and so does a part of the simulator. Only the edges name the runtime, JavaScript or
//!    SQLite's Rust API.
//! 2. Unsafe code is in `sqlite` of the engine only. Nothing outside tests can panic on purpose.
//! 3. Every file opens with `//!`, no file has more than 500 lines and no function more than 70. So does JavaScript, with a comment.
//!
//! The reading is by lines, of the layout that rustfmt and the JavaScript here have; it is no parser.
//!
//! **Not here:** what the compilers and linters hold already.

use std::path::{Path, PathBuf};

/// Modules of a crate, and what each may name of it.
type Layers = [(&'static str, &'static [&'static str])];

/// The crates, and what each module in them may name of its own crate: what is below it.
const CRATES: [(&str, &Layers); 3] = [
    (
        "crates/protocol/src",
        &[
            ("page", &[]),
            ("page_set", &[]),
            ("txid", &[]),
            ("checksum", &[]),
            ("bookmark", &[]),
            ("commit", &[]),
            ("position", &[]),
            ("sql", &["sql"]),
            ("d1", &["d1", "sql"]),
            ("rest", &["rest", "d1", "sql"]),
        ],
    ),
    (
        "crates/engine/src",
        &[
            ("commit_log", &["commit_log"]),
            ("sqlite", &["sqlite"]),
            ("store", &["store", "commit_log", "sqlite"]),
            ("fetch", &["fetch", "store", "commit_log"]),
            ("branch", &["branch", "fetch", "store", "commit_log"]),
            ("replica", &["replica", "fetch", "session", "store", "commit_log"]),
            ("session", &[]),
            ("settings", &[]),
            ("primary", &["primary", "settings"]),
            ("vfs", &["vfs", "sqlite", "store"]),
            ("engine", &["engine", "vfs", "sqlite", "store"]),
            ("catalog", &["catalog", "settings", "store"]),
            ("answer", &["answer", "branch", "engine", "fetch", "session", "store"]),
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

/// The parts of the simulator, from the bottom up: each may name those before it.
const SIMULATOR: [&str; 15] = [
    "truth",
    "event",
    "planted",
    "link",
    "network",
    "node",
    "nodes",
    "long_reads",
    "primary",
    "queries",
    "past",
    "clients",
    "check",
    "chaos",
    "world",
];

/// The only folder with unsafe code.
const UNSAFE: &str = "crates/engine/src/sqlite";
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
        let mut of_tests = OfTests::default();
        let lines = self.text.lines().enumerate().filter(move |(_, line)| !of_tests.holds(line));
        lines.filter(move |(_, line)| !is_test && !line.trim_start().starts_with("//")).map(|(index, line)| (index + 1, line))
    }

    /// The functions: where each begins, its lines, and its first line.
    fn functions(&self) -> Vec<(usize, usize, &str)> {
        let mut open: Vec<(usize, &str)> = Vec::new();
        let mut found = Vec::new();
        for (index, line) in self.text.lines().enumerate() {
            let begins = if self.is_rust() { begins_rust_function(line) } else { begins_javascript_function(line) };
            if line.trim_start().starts_with('}') {
                while let Some((start, first)) = open.pop_if(|(_, first)| indent(first) >= indent(line)) {
                    found.push((start, index + 1 - start, first));
                }
            }
            if begins {
                open.push((index, line));
            }
        }
        found
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn starts_with_any(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

/// Follows the lines of a Rust file, and knows those that `#[cfg(test)]` is on.
#[derive(Default)]
enum OfTests {
    #[default]
    Outside,
    /// After the attribute, or in the head of the item that it is on.
    Head,
    /// In the item's block, which ends with a brace as far to the right as the item.
    Block(usize),
}

impl OfTests {
    /// Whether this line is of tests; each line is to be passed, one after the other.
    fn holds(&mut self, line: &str) -> bool {
        let text = line.trim();
        match self {
            OfTests::Outside if text != "#[cfg(test)]" => return false,
            OfTests::Outside => *self = OfTests::Head,
            OfTests::Head if text.starts_with("#[") || text.starts_with("//") => {}
            OfTests::Head if text.ends_with('{') => *self = OfTests::Block(indent(line)),
            OfTests::Head if text.ends_with([';', '}']) => *self = OfTests::Outside,
            OfTests::Head => {}
            // Not where `else` goes on.
            OfTests::Block(at) if indent(line) == *at && text.starts_with('}') && !text.ends_with('{') => *self = OfTests::Outside,
            OfTests::Block(_) => {}
        }
        true
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn begins_rust_function(line: &str) -> bool {
    let text = line.trim_start();
    (line.contains(" fn ") || text.starts_with("fn ")) && !text.starts_with("//") && !line.contains(';')
}

/// A function, a method, or an arrow function with a block.
fn begins_javascript_function(line: &str) -> bool {
    let text = line.trim();
    let is_statement = ["if ", "else", "for ", "while ", "switch ", "catch ", "} ", "do "].iter().any(|word| text.starts_with(word));
    !text.starts_with(['/', '*'])
        && !is_statement
        && text.ends_with('{')
        && (text.contains("function") || text.ends_with("=> {") || text.ends_with(") {"))
}

/// The Rust sources in a folder.
fn sources(folder: &str) -> Vec<Source> {
    files(folder, &["rs"])
}

/// The JavaScript in all folders, and the TypeScript.
fn scripts() -> Vec<Source> {
    ["src", "js", "scripts", "bench", "tests", "examples"].into_iter().flat_map(|folder| files(folder, &["mjs", "js", "ts"])).collect()
}

fn files(folder: &str, extensions: &[&str]) -> Vec<Source> {
    /// What others wrote, or programs.
    const FOREIGN: [&str; 4] = ["node_modules", "build", "generated", "target"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join(folder)];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.extend((!FOREIGN.iter().any(|name| path.ends_with(name))).then_some(path));
            } else if path.extension().is_some_and(|own| extensions.iter().any(|extension| own == *extension)) {
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
fn the_simulators_parts_name_only_those_below_them() {
    let mut findings = Vec::new();
    for source in sources("crates/engine/src/replica/simulation").iter().filter(|source| !source.path.ends_with("/mod.rs")) {
        let part = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        let below = SIMULATOR.iter().position(|known| *known == part).map_or(&[][..], |at| &SIMULATOR[..at]);
        for (at, _) in source.text.match_indices("super::") {
            let name: String = source.text[at + 7..].chars().take_while(|one| one.is_alphanumeric() || *one == '_').collect();
            if SIMULATOR.contains(&&*name) && !below.contains(&&*name) {
                findings.push(format!("{part} names {name}"));
            }
        }
    }
    assert_none(findings, "a part of the simulator names only those below it");
}

#[test]
fn the_binding_does_not_know_the_engine() {
    let binding = ["src/client/", "src/migrate.rs", "crates/protocol/"];
    assert_none(lines_with(&["littoral_engine"], |source| source.starts_with_any(&binding)), "the binding needs no C compiler");
}

#[test]
fn the_vocabulary_knows_neither_sqlite_nor_serde_nor_storage() {
    let is_vocabulary = |source: &Source| source.path.starts_with("crates/protocol/") && !["d1", "rest", "sql"].contains(&source.module());
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
    let places =
        ["crates/engine/src/engine", "crates/engine/src/vfs", "crates/engine/src/sqlite", "crates/engine/src/store/durable/host.rs"];
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
    for source in all().iter().chain(&scripts()) {
        let Source { path, text } = source;
        let opens = if source.is_rust() { "//! " } else { "// " };
        if !text.starts_with(opens) {
            findings.push(format!("{path}: does not open with `{opens}`"));
        }
        let lines = text.lines().count();
        if lines > MAX_FILE_LINES {
            findings.push(format!("{path}: {lines} lines"));
        }
    }
    assert_none(findings, "every file opens with a comment and is short");
}

#[test]
fn functions_are_short() {
    let mut findings = Vec::new();
    for source in all().iter().chain(&scripts()) {
        let functions = source.functions();
        for &(start, lines, first) in &functions {
            // What is passed to `describe` is a list of tests, and each of those a function.
            let within = |&&(at, _, inner): &&(usize, usize, &str)| at > start && at < start + lines && is_test(inner);
            if lines > MAX_FUNCTION_LINES && functions.iter().find(within).is_none() {
                findings.push(format!("{}:{}: {lines} lines: {}", source.path, start + 1, first.trim()));
            }
        }
    }
    assert_none(findings, "functions are short");
}

/// Whether a function begins with this line that is a test of node:test.
fn is_test(line: &str) -> bool {
    ["test(", "before(", "after(", "inLab("].iter().any(|call| line.trim_start().starts_with(call))
}

#[test]
fn nothing_is_printed_by_the_package_and_the_worker() {
    let mut findings = Vec::new();
    for source in scripts().iter().filter(|source| source.starts_with_any(&["js/src/", "src/worker/"])) {
        let prints = source.text.lines().enumerate().filter(|(_, line)| line.contains("console.log"));
        findings.extend(prints.map(|(index, line)| format!("{}:{}: {}", source.path, index + 1, line.trim())));
    }
    assert_none(findings, "the package and the Worker print nothing");
}

#[test]
fn only_the_item_of_tests_is_passed_over() {
    let text = "a\n#[cfg(test)]\nuse b::{\n    c,\n};\nd\n    #[cfg(test)]\n    if e {\n        f\n    } else {\n        g\n    }\n    h\n#[cfg(test)]\n\
        mod i;\nj\n#[cfg(test)]\n#[allow(k)]\nlet l =\n    m;\nn\n#[cfg(test)]\nmod tests {\n    fn o() {\n    }\n}\np";
    let source = Source { path: "src/text.rs".into(), text: text.into() };
    let code: Vec<&str> = source.code().map(|(_, line)| line.trim()).collect();
    assert_eq!(code, ["a", "d", "h", "j", "n", "p"]);
}
