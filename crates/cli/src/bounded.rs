//! Texts that users give, of files and of standard input. In: a path. Out: the text, or why it cannot be one: a device
//! or a pipe without an end is cut off.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};

/// What a command reads of one file: objects of a big cluster are smaller.
const MOST: u64 = 32 << 20;

/// How a path is told of.
pub fn name(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

/// Standard input has one reader: another one would find it empty.
pub fn check_once<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<()> {
    let standard = paths.into_iter().filter(|path| path.as_os_str() == "-").count();
    ensure!(standard <= 1, "standard input (-) is given {standard} times: give files instead");
    Ok(())
}

/// A file's text, or standard input's for `-`.
pub fn read(path: &Path) -> Result<String> {
    let read = || match path.as_os_str() == "-" {
        true => text(std::io::stdin().lock(), MOST),
        false => text(File::open(path)?, MOST),
    };
    read().with_context(|| format!("cannot read {}", name(path)))
}

/// What is to be read, if it has at most so many bytes.
pub fn bytes(file: impl Read, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    let length = bytes.len() as u64;
    ensure!(length <= most, "it has more than {} MiB: check that it is the right file", most >> 20);
    Ok(bytes)
}

/// The same as text.
pub fn text(file: impl Read, most: u64) -> Result<String> {
    String::from_utf8(bytes(file, most)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow!("it is not text in UTF-8 from byte {at} on: save it as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, repeat};
    use std::path::{Path, PathBuf};

    use super::{MOST, check_once, read, text};
    use crate::output::causes;

    #[test]
    fn what_has_no_end_is_cut_off_and_told() {
        let error = causes(&read(Path::new("/dev/zero")).unwrap_err());
        assert!(error.starts_with("cannot read /dev/zero: it has more than 32 MiB: "), "{error}");
        let whole = text(repeat(b'a').take(MOST), MOST).unwrap();
        assert_eq!(whole.len() as u64, MOST, "a text of just that length is taken");
    }

    #[test]
    fn what_is_no_text_is_told_with_its_place() {
        let error = text(&b"ab\xff"[..], MOST).unwrap_err().to_string();
        assert!(error.contains("not text in UTF-8 from byte 2 on"), "{error}");
    }

    #[test]
    fn standard_input_is_given_once() {
        let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert!(check_once(&paths(&["-", "a", "a"])).is_ok());
        let error = check_once(&paths(&["-", "a", "-"])).unwrap_err().to_string();
        assert_eq!(error, "standard input (-) is given 2 times: give files instead");
    }
}
