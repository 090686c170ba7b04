//! Writes the Helm charts: `cargo run -p lateen-install --example charts -- FOLDER`. In: what `install`
//! renders. Out: the folders `base`, `istiod`, `cni` and `gateway`.

#[path = "generate.rs"]
mod generate;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "charts".to_owned());
    for (name, text) in generate::files() {
        let path = Path::new(&folder).join(name);
        std::fs::create_dir_all(path.parent().expect("every file is in a chart's folder"))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}
