//! Makes a Worker of the WebAssembly that cargo built: `index.js`, which is its entry point, its types in `index.d.ts`, and `index_bg.wasm`.
//!
//! wasm-bindgen writes the JavaScript between the module and the runtime, wasm-opt makes the module smaller, and esbuild makes one file of
//! the JavaScript and of [`entry`]'s. All of it happens in a folder of its own beside the result, which is replaced at the end: what is in
//! the result always fits together.
//!
//! **Not here:** cargo, whose build this program's own compiling runs beside (`scripts/build`).

mod artifact;
mod entry;
mod programs;

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use wasm_bindgen_cli_support::Bindgen;

const USAGE: &str = "usage: littoral-builder [--no-opt] CARGO_TOML OUTPUT_FOLDER <MESSAGES, where MESSAGES is what
cargo build --message-format=json wrote; scripts/build does all of it";

/// The name of what wasm-bindgen writes: `index.js`, `index_bg.wasm`.
const NAME: &str = "index";

/// In the result while its module is as the compiler left it: `scripts/build --if-changed` does not take it for a finished one.
const UNOPTIMISED: &str = "unoptimised";

struct Options {
    optimise: bool,
    manifest: PathBuf,
    output: PathBuf,
}

fn main() -> Result<()> {
    let options = options(std::env::args().skip(1))?;
    let wasm = artifact::find(io::stdin().lock(), &options.manifest)?;
    let output = &options.output;
    fs::create_dir_all(output).with_context(|| format!("the folder {} cannot be made", output.display()))?;
    // Two may build at once: `make dev` after an edit, and somebody else.
    let lock_path = output.join(".lock");
    let lock = File::create(&lock_path).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.with_context(|| format!("{} cannot be locked", lock_path.display()))?;
    let staging = output.join(".new");
    remove(&staging)?;
    make(&wasm, &staging, options.optimise)?;
    publish(&staging, output, options.optimise)
}

fn options(arguments: impl Iterator<Item = String>) -> Result<Options> {
    let (flags, paths): (Vec<_>, Vec<_>) = arguments.partition(|argument| argument.starts_with("--"));
    match (flags.as_slice(), paths.as_slice()) {
        ([], [manifest, output]) => Ok(Options { optimise: true, manifest: manifest.into(), output: output.into() }),
        ([flag], [manifest, output]) if flag == "--no-opt" => {
            Ok(Options { optimise: false, manifest: manifest.into(), output: output.into() })
        }
        _ => bail!(USAGE),
    }
}

/// Makes the Worker in an empty folder.
fn make(wasm: &Path, folder: &Path, optimise: bool) -> Result<()> {
    bind(wasm, folder)?;
    let script = folder.join("index.js");
    let bindings = fs::read_to_string(&script).with_context(|| format!("wasm-bindgen wrote no {}", script.display()))?;
    let entry = entry::source(&bindings)?;
    let types = folder.join("index.d.ts");
    let declared = fs::read_to_string(&types).with_context(|| format!("wasm-bindgen wrote no {}", types.display()))?;
    fs::write(&types, entry::types(&declared)).with_context(|| format!("{} cannot be written", types.display()))?;
    fs::write(folder.join("entry.js"), entry).with_context(|| format!("nothing can be written to {}", folder.display()))?;
    let bundle = programs::bundle(folder)?;
    fs::write(&script, plain_import(&bundle)?).with_context(|| format!("{} cannot be written", script.display()))?;
    if optimise {
        programs::optimise(folder, &format!("{NAME}_bg.wasm"))?;
    }
    Ok(())
}

/// wasm-bindgen, with what the crate `worker` counts on: a module that can be instantiated anew, and that tells when it has to be.
fn bind(wasm: &Path, folder: &Path) -> Result<()> {
    Bindgen::new()
        .module(true)?
        .input_path(wasm)
        .out_name(NAME)
        .typescript(true)
        .reset_state_function(true)
        .force_enable_abort_handler(true)
        .generate(folder)
        .with_context(|| {
            let version = "if versions differ, give wasm-bindgen-cli-support in scripts/builder/Cargo.toml that of wasm-bindgen";
            format!("wasm-bindgen failed on {}; {version}", wasm.display())
        })
}

/// Imports the module as bundlers and the runtime know it: its compiled form is what `import` gives there. esbuild keeps the proposed
/// `import source`, which wasm-bindgen writes and wrangler does not take.
fn plain_import(script: &str) -> Result<String> {
    const PROPOSED: &str = "import source ";
    let imports = script.matches(PROPOSED).count();
    if imports != 1 {
        bail!("the bundle has {imports} imports of a module, not one: this wasm-bindgen or esbuild is not one that this program knows");
    }
    Ok(script.replace(PROPOSED, "import "))
}

/// Puts the Worker where it is expected. The module goes first: a folder without `index.js` is no Worker yet, one with it is whole.
fn publish(staging: &Path, output: &Path, optimised: bool) -> Result<()> {
    let marker = output.join(UNOPTIMISED);
    if !optimised {
        fs::write(&marker, "").with_context(|| format!("{} cannot be written", marker.display()))?;
    }
    for name in [format!("{NAME}_bg.wasm"), format!("{NAME}.d.ts"), format!("{NAME}.js")] {
        let (from, to) = (staging.join(&name), output.join(&name));
        fs::rename(&from, &to).with_context(|| format!("{} cannot be moved to {}", from.display(), to.display()))?;
    }
    if optimised {
        remove(&marker)?;
    }
    remove(staging)
}

/// Removes a file or a folder, if there is one.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options> {
        options(arguments.iter().map(|argument| argument.to_string()))
    }

    #[test]
    fn takes_two_paths_and_a_flag() {
        let options = parsed(&["--no-opt", "Cargo.toml", "build"]).unwrap();
        assert!(!options.optimise);
        assert_eq!((options.manifest, options.output), ("Cargo.toml".into(), "build".into()));
        assert!(parsed(&["Cargo.toml", "build"]).unwrap().optimise);
        for wrong in [&["Cargo.toml"] as &[&str], &["--fast", "Cargo.toml", "build"], &[]] {
            assert!(parsed(wrong).is_err());
        }
    }

    #[test]
    fn changes_the_one_import_of_the_module() {
        let script = "import{a}from\"b\";import source c from\"./index_bg.wasm\";";
        assert_eq!(plain_import(script).unwrap(), "import{a}from\"b\";import c from\"./index_bg.wasm\";");
        assert!(plain_import("import c from\"./index_bg.wasm\";").is_err());
    }
}
