//! Which file cargo built, from the messages that it writes on the way (`--message-format=json`).

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// The WebAssembly module of the package with this manifest. Packages that it depends on may be built as modules, too.
pub fn find(messages: impl BufRead, manifest: &Path) -> Result<PathBuf> {
    let manifest = manifest.canonicalize().with_context(|| format!("there is no {}", manifest.display()))?;
    let mut found = None;
    for line in messages.lines() {
        let line = line.context("cargo's messages cannot be read")?;
        let message: Value = serde_json::from_str(&line).with_context(|| format!("this is no message of cargo's: {line}"))?;
        if message["reason"] == "compiler-artifact" && message["manifest_path"].as_str().is_some_and(|path| manifest == Path::new(path)) {
            found = module(&message).or(found);
        }
    }
    match found {
        Some(path) => Ok(path),
        None => bail!("cargo built no WebAssembly of {}: its [lib] has to have the crate-type \"cdylib\"", manifest.display()),
    }
}

fn module(artifact: &Value) -> Option<PathBuf> {
    let files = artifact["filenames"].as_array()?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(messages: &[Value]) -> Result<PathBuf> {
        let lines: Vec<String> = messages.iter().map(Value::to_string).collect();
        find(lines.join("\n").as_bytes(), Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")))
    }

    fn artifact(manifest: &str, files: &[&str]) -> Value {
        json!({ "reason": "compiler-artifact", "manifest_path": manifest, "filenames": files })
    }

    const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

    #[test]
    fn takes_the_module_of_the_package_itself() {
        let messages = [
            artifact(OWN, &["/t/build-script"]),
            artifact(OWN, &["/t/own.wasm", "/t/libown.rlib"]),
            artifact("/elsewhere/Cargo.toml", &["/t/other.wasm"]),
            json!({ "reason": "build-finished", "success": true }),
        ];
        assert_eq!(found(&messages).unwrap(), Path::new("/t/own.wasm"));
    }

    #[test]
    fn says_what_is_missing() {
        let error = found(&[artifact(OWN, &["/t/libown.rlib"])]).unwrap_err();
        assert!(error.to_string().contains("cdylib"), "{error}");
        assert!(find(&b"warning"[..], Path::new(OWN)).is_err());
    }
}
