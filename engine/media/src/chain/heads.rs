//! The heads of chains, signed, to be kept elsewhere: what a chain alone cannot show, that its newest entries are gone together with the
//! head, a head of yesterday shows.
//!
//! Owns: the statement's two lines, and keys as PEM. Never: keeps a key longer than it is asked for.
//!
//! ```text
//! {"audyn_heads":1,"when":"2026-07-02T13:46:03Z","chains":[{"directory":"studio-1","entry":41,"hash":"…"}]}
//! {"ed25519":"128 hexadecimal digits","public_key":"64 of them"}
//! ```
//!
//! The signature (RFC 8032) is over the bytes of the first line without its end. Keys are as `openssl genpkey -algorithm ed25519` makes
//! them (PKCS #8, RFC 8410).

use std::fmt;
use std::io;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use super::files::{House, MOST_BYTES};
use super::hash::Sha256;
use super::verify::entries_of;
use crate::{Beneath, MediaError};

/// The heads of one or several chains at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    /// Version of these fields: 1.
    pub audyn_heads: u32,
    /// When they were read, in UTC.
    pub when: String,
    /// The heads.
    pub chains: Vec<KeptHead>,
}

/// The newest entry of a chain at that instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptHead {
    /// The recorder's directory, as a path below the one that was exported; empty if it is that itself.
    pub directory: String,
    /// Its number.
    pub entry: u64,
    /// Its hash.
    pub hash: Sha256,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    ed25519: String,
    public_key: String,
}

/// A key that signs heads. What it prints as tells nothing of it.
pub struct HeadKey(SigningKey);

impl fmt::Debug for HeadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeadKey")
    }
}

impl HeadKey {
    /// A new one, by the kernel's random numbers.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn generate() -> io::Result<Self> {
        let mut seed = [0; 32];
        let mut got = 0;
        while got < seed.len() {
            got += rustix::rand::getrandom(&mut seed[got..], rustix::rand::GetRandomFlags::empty())?;
        }
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads one from PEM; `what` names it in messages.
    ///
    /// # Errors
    /// [`MediaError::Key`].
    pub fn from_pem(pem: &str, what: &str) -> Result<Self, MediaError> {
        SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| MediaError::Key {
            what: what.to_owned(),
            wanted: "private key of Ed25519; `openssl genpkey -algorithm ed25519` makes one",
        })
    }

    /// As PEM, for its owner alone.
    ///
    /// # Panics
    /// Never: every key has this form.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF).expect("every key has this form");
        String::clone(&pem)
    }

    /// The key by which its signatures are checked.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }
}

/// A key that checks signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads one from PEM; `what` names it in messages.
    ///
    /// # Errors
    /// [`MediaError::Key`].
    pub fn from_pem(pem: &str, what: &str) -> Result<Self, MediaError> {
        VerifyingKey::from_public_key_pem(pem).map(Self).map_err(|_| MediaError::Key {
            what: what.to_owned(),
            wanted: "public key of Ed25519; `openssl pkey -in KEY.pem -pubout` gives that of a private one",
        })
    }

    /// As PEM.
    ///
    /// # Panics
    /// Never: every key has this form.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("every key has this form")
    }
}

impl Heads {
    /// The statement's text, signed.
    ///
    /// # Panics
    /// Never: text and numbers have a form in JSON.
    #[must_use]
    pub fn sign(&self, key: &HeadKey) -> String {
        let plain = "text and numbers have a form in JSON";
        let statement = serde_json::to_string(self).expect(plain);
        let signature = key.0.sign(statement.as_bytes());
        let signed =
            Signed { ed25519: hex(&signature.to_bytes()), public_key: hex(key.0.verifying_key().as_bytes()) };
        format!("{statement}\n{}\n", serde_json::to_string(&signed).expect(plain))
    }

    /// Reads a statement if the owner of `key` has signed it, and as it is; `what` names it in messages.
    ///
    /// # Errors
    /// [`MediaError::Heads`].
    pub fn signed_by(text: &str, key: &PublicKey, what: &str) -> Result<Self, MediaError> {
        let no = |reason: &str| MediaError::Heads { what: what.to_owned(), reason: reason.to_owned() };
        let none = || no("it is no statement of heads: two lines of JSON, as `audyn head` writes them");
        let (statement, signed) = text.split_once('\n').ok_or_else(none)?;
        let signed: Signed = serde_json::from_str(signed).map_err(|_| none())?;
        let signature = unhex(&signed.ed25519).map(|bytes| Signature::from_bytes(&bytes)).ok_or_else(none)?;
        if key.0.verify_strict(statement.as_bytes(), &signature).is_err() {
            return Err(no(match signed.public_key == hex(key.0.as_bytes()) {
                true => "it was changed since it was signed",
                false => "it was signed by another key than the one given",
            }));
        }
        let heads: Self = serde_json::from_str(statement).map_err(|_| none())?;
        match heads.audyn_heads {
            1 => Ok(heads),
            version => Err(no(&format!("it has version {version}, and 1 is known"))),
        }
    }
}

impl KeptHead {
    /// The head of a recorder's chain as it lies on the disk; none while nothing was sealed.
    ///
    /// # Errors
    /// [`MediaError::Chain`]; of the kind [`io::ErrorKind::InvalidData`] if the chain has no head, or not the entry that it names:
    /// nobody should vouch for that.
    pub fn read(recorder: &Beneath, directory: String) -> Result<Option<Self>, MediaError> {
        let of = |source| MediaError::Chain { path: recorder.path().to_owned(), source };
        let wrong = |why: &str| of(io::Error::new(io::ErrorKind::InvalidData, why.to_owned()));
        let house = House::open(recorder).map_err(of)?.ok_or_else(|| wrong("it has no chain"))?;
        let Some(head) = house.head().map_err(of)? else {
            return Err(wrong("the chain has no head; `audyn verify` tells more"));
        };
        let Some(hash) = head.hash.filter(|_| head.entry > 0) else { return Ok(None) };
        let kept = Self { directory, entry: head.entry, hash };
        match kept.is_in(recorder)? {
            true => Ok(Some(kept)),
            false => {
                Err(wrong("the chain does not hold the entry that its head names; `audyn verify` tells more"))
            }
        }
    }

    /// Whether a chain holds this entry, and so all before it.
    ///
    /// # Errors
    /// [`MediaError::Chain`].
    pub fn is_in(&self, recorder: &Beneath) -> Result<bool, MediaError> {
        let entries = entries_of(recorder, &mut |_, _| {})
            .map_err(|source| MediaError::Chain { path: recorder.path().to_owned(), source })?;
        Ok(entries.iter().any(|entry| (entry.number, entry.hash) == (self.entry, self.hash)))
    }
}

/// A statement is never longer.
pub const MOST_HEADS: u64 = MOST_BYTES;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads() -> Heads {
        let hash = Sha256::of(b"x");
        let chains = vec![KeptHead { directory: "studio-1".to_owned(), entry: 41, hash }];
        Heads { audyn_heads: 1, when: "2026-07-02T13:46:03Z".to_owned(), chains }
    }

    #[test]
    fn a_statement_is_taken_as_it_was_signed_and_by_whom() {
        let (key, other) = (HeadKey::generate().unwrap(), HeadKey::generate().unwrap());
        let text = heads().sign(&key);
        assert_eq!(Heads::signed_by(&text, &key.public(), "it").unwrap(), heads());
        let refused =
            |text: &str, key: &HeadKey| Heads::signed_by(text, &key.public(), "it").unwrap_err().to_string();
        assert!(refused(&text, &other).contains("another key"));
        assert!(refused(&text.replace(":41,", ":40,"), &key).contains("changed since"));
        assert!(refused(&text.replacen('\n', " \n", 1), &key).contains("changed since"));
        for none in ["", "{}\n{}\n", text.lines().next().unwrap(), &text[..text.len() - 9]] {
            assert!(refused(none, &key).contains("no statement"), "{none}");
        }
        let later = Heads { audyn_heads: 2, ..heads() }.sign(&key);
        assert!(refused(&later, &key).contains("version 2"));
    }

    #[test]
    fn keys_are_those_of_the_standard() {
        // RFC 8410 §10.3 and §10.1.
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let key = HeadKey::from_pem(private, "it").unwrap();
        assert_eq!(key.public().to_pem(), public);
        assert_eq!(PublicKey::from_pem(public, "it").unwrap(), key.public());
        assert_eq!(HeadKey::from_pem(&key.to_pem(), "it").unwrap().public(), key.public());
        assert!(!format!("{key:?}").contains("212"), "it does not show itself");
        let error = HeadKey::from_pem(public, "k.pem").unwrap_err().to_string();
        assert!(error.contains("k.pem is no private key of Ed25519"), "{error}");
        assert!(PublicKey::from_pem(private, "k").is_err());
    }
}
