//! Makes the page's directory exist, so that Rust builds without Node.js, and builds again when the page changed.

use std::path::Path;

fn main() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ui/dist");
    // Cargo runs a build script again and again while a path that it watches is missing. In a read-only source
    // tree this fails, and nothing worse than that happens.
    if let Err(error) = std::fs::create_dir_all(&dist) {
        println!("cargo::warning=cannot create {}: {error}", dist.display());
    }
    println!("cargo::rerun-if-changed=../ui/dist");
    println!("cargo::rerun-if-changed=build.rs");
}
