//! Files that are read whole, up to a limit: what a path leads to may have no end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes in a kilobyte, in messages.
const KIB: u64 = 1024;

/// Reads a file of any kind, of at most `limit` bytes. One that people name may be a pipe, so that
/// it is opened only once.
///
/// # Errors
/// The system's, and [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    read_from(File::open(path)?, limit)
}

/// As [`read`]; `-` is this process's standard input, as everywhere on a command line.
///
/// # Errors
/// As [`read`].
pub fn read_or_stdin(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if path == Path::new("-") { read_from(io::stdin(), limit) } else { read(path, limit) }
}

/// The same from what is open already.
///
/// # Errors
/// As [`read`].
pub fn read_from(from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        return Ok(bytes);
    }
    let text = format!("it has more than {} KiB", limit / KIB);
    Err(io::Error::new(io::ErrorKind::FileTooLarge, text))
}

/// Reads text.
///
/// # Errors
/// As [`read`], and [`io::ErrorKind::InvalidData`] for what is not UTF-8.
pub fn text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|_secret| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::path::Path;

    use super::{read, read_from, text};

    #[test]
    fn what_has_no_end_is_refused() {
        let endless = Path::new("/dev/zero");
        let refused = read(endless, 4096).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FileTooLarge);
        assert_eq!(refused.to_string(), "it has more than 4 KiB");
        assert_eq!(text(endless, 4096).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn the_limit_itself_is_good() {
        for (length, good) in [(0, true), (9, true), (10, true), (11, false)] {
            let got = read_from(std::io::repeat(b'x').take(length), 10);
            assert_eq!(got.is_ok(), good, "{length}");
        }
    }

    #[test]
    fn text_is_utf_8() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all("ä".as_bytes()).unwrap();
        assert_eq!(text(file.path(), 10).unwrap(), "ä");
        file.write_all(&[0xFF]).unwrap();
        assert_eq!(text(file.path(), 10).unwrap_err().to_string(), "it is not UTF-8");
    }
}
