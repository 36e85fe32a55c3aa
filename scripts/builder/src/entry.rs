//! The Worker's entry point: `entry.js`, and after it the names of what this Worker's module offers.

use anyhow::{Result, bail};
use std::fmt::Write;

const ENTRY: &str = include_str!("entry.js");

/// What the crate `worker` calls with a request or event, the environment and a context.
const EVENTS: [&str; 5] = ["fetch", "scheduled", "queue", "email", "connect"];

/// Of the crate `worker` and of wasm-bindgen, for `entry.js`.
const INTERNAL: [&str; 2] = ["__wbg_reset_state", "__worker_init_state"];

enum Export<'a> {
    Class(&'a str),
    Function(&'a str),
}

/// The source of the entry point for a module with these bindings, as wasm-bindgen wrote them.
pub fn source(bindings: &str) -> Result<String> {
    let exports = bindings.lines().filter(|line| line.starts_with("export ")).map(export).collect::<Result<Vec<_>>>()?;
    for name in INTERNAL {
        if !exports.iter().any(|export| matches!(export, Export::Function(found) if *found == name)) {
            bail!("the module exports no {name}: its crate has to depend on the crate worker, 0.8");
        }
    }
    let mut source = ENTRY.to_owned();
    for export in exports {
        match export {
            Export::Class(name) => writeln!(source, "export const {name} = lasting(rust.{name});")?,
            Export::Function(name) if INTERNAL.contains(&name) => {}
            Export::Function(name) if EVENTS.contains(&name) => writeln!(source, "onEvent(\"{name}\", rust.{name});")?,
            Export::Function(name) => writeln!(source, "method(\"{name}\", rust.{name});")?,
        }
    }
    Ok(source)
}

/// The types of the entry point: those of the module, and that of the class that `entry.js` adds.
pub fn types(bindings: &str) -> String {
    // A declaration cannot be async, whatever wasm-bindgen writes.
    let bindings = bindings.replace("static async ", "static ");
    format!("{bindings}\nexport default class {{ constructor(ctx: unknown, env: unknown); fetch(request: Request): Promise<Response>; }}\n")
}

/// What a line of wasm-bindgen's JavaScript exports.
fn export(line: &str) -> Result<Export<'_>> {
    let words: Vec<&str> = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        ["export", "class", name, ..] => Ok(Export::Class(name)),
        ["export", "function", name, ..] | ["export", "async", "function", name, ..] => Ok(Export::Function(name)),
        _ => bail!("wasm-bindgen exports something in a form that scripts/builder/src/entry.rs does not know: {line}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = "export function __wbg_reset_state () {\n}\nexport function __worker_init_state() {\n}\n";

    fn names(bindings: &str) -> Result<String> {
        source(&format!("import source wasmModule from \"./index_bg.wasm\";\n{STATE}{bindings}"))
            .map(|source| source[ENTRY.len()..].to_owned())
    }

    #[test]
    fn offers_classes_events_and_functions() {
        let bindings = "export class Database {\n    static export(a) {}\n}\nexport function fetch(req, env, ctx) {\n}\nexport function storeCases() {\n}\n";
        let expected =
            "export const Database = lasting(rust.Database);\nonEvent(\"fetch\", rust.fetch);\nmethod(\"storeCases\", rust.storeCases);\n";
        assert_eq!(names(bindings).unwrap(), expected);
    }

    #[test]
    fn types_are_those_of_a_module_and_of_a_worker() {
        let typed = types("export class A {\n    static async b(): Promise<void>;\n}\n");
        assert!(typed.starts_with("export class A {\n    static b(): Promise<void>;\n}\n") && typed.contains("export default class"));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(names("export { a as b };\n").is_err());
        assert!(source("export function fetch(req, env, ctx) {\n}\n").is_err());
    }
}
