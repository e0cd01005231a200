//! SHA-256, as the chain uses it.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// A SHA-256 (FIPS 180-4), told as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; 32]);

/// Text that is no SHA-256.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a SHA-256: 64 hexadecimal digits in small letters are")]
pub struct NoSha256(String);

impl Sha256 {
    /// Where none was computed yet.
    pub(super) const UNKNOWN: Self = Self([0; 32]);

    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Its first 8 bytes, where the whole is told elsewhere.
    pub(super) fn beginning(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// SHA-256 and length of all that `from` gives, in constant memory. `go_on` is asked now and then; without its consent the end is an
/// error of the kind [`io::ErrorKind::Interrupted`].
///
/// # Errors
/// What reading says.
pub fn hash_of(mut from: impl Read, mut go_on: impl FnMut() -> bool) -> io::Result<(Sha256, u64)> {
    let mut hash = sha2::Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut length = 0;
    loop {
        if !go_on() {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "asked to stop"));
        }
        match from.read(&mut buffer) {
            Ok(0) => return Ok((Sha256(hash.finalize().into()), length)),
            Ok(n) => {
                hash.update(&buffer[..n]);
                length += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256 {
    type Err = NoSha256;

    fn from_str(text: &str) -> Result<Self, NoSha256> {
        let bad = || NoSha256(text.to_owned());
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(bad()),
        };
        let mut hash = [0; 32];
        if text.len() != 64 {
            return Err(bad());
        }
        for (to, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *to = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(hash))
    }
}

impl TryFrom<String> for Sha256 {
    type Error = NoSha256;

    fn try_from(text: String) -> Result<Self, NoSha256> {
        text.parse()
    }
}

impl From<Sha256> for String {
    fn from(hash: Sha256) -> Self {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_abc_is_that_of_the_standard() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Sha256::of(b"abc").to_string(), abc);
        assert_eq!(hash_of(&b"abc"[..], || true).unwrap(), (abc.parse().unwrap(), 3));
        for bad in ["", "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", &abc[1..]] {
            assert!(bad.parse::<Sha256>().is_err(), "{bad}");
        }
        assert_eq!(hash_of(&b"abc"[..], || false).unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
}
