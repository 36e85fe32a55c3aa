//! The npm packages' programs: esbuild and wasm-opt.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Of WebAssembly, what the compilers (`.cargo/config.toml`) and wasm-bindgen use. wasm-opt writes nothing beyond it, so nothing that a runtime may lack.
const FEATURES: [&str; 8] = [
    "--enable-bulk-memory",
    "--enable-exception-handling",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];

/// Bundles `entry.js` in the folder with what it imports, except for the module and the runtime's own modules.
pub fn bundle(folder: &Path) -> Result<String> {
    let options = ["--bundle", "--minify", "--format=esm", "--log-level=warning", "--external:./index_bg.wasm", "--external:cloudflare:*"];
    let output = run(Command::new("esbuild").current_dir(folder).arg("entry.js").args(options))?;
    String::from_utf8(output).context("esbuild wrote something that is not UTF-8")
}

/// Optimises a module in the folder, and leaves the names of its functions: a trap's stack is made of them.
pub fn optimise(folder: &Path, module: &str) -> Result<()> {
    let optimised = folder.join("optimised.wasm");
    run(Command::new("wasm-opt").arg("-O").args(FEATURES).arg("--debuginfo").arg(folder.join(module)).arg("-o").arg(&optimised))?;
    fs::rename(&optimised, folder.join(module)).with_context(|| format!("wasm-opt wrote no {}", optimised.display()))
}

/// What a program writes to its standard output. What it says goes where this program's goes.
fn run(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("{name} does not start: run scripts/setup, and this through scripts/build"))?;
    if !output.status.success() {
        bail!("{name} failed ({}), see above", output.status);
    }
    Ok(output.stdout)
}
