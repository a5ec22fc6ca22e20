//! ACL signing: HMAC-SHA1 over the request's fields in name order and its body, as the Java client's hook does it.

use base64::Engine as _;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;

use crate::settings::Credentials;

/// Field that carries the access key.
pub const ACCESS_KEY: &str = "AccessKey";
/// Field that carries the signature.
pub const SIGNATURE: &str = "Signature";

/// The signature of a request: `fields` are all of its fields, the access key among them, sorted by name.
#[must_use]
pub fn signature<'f>(
    credentials: &Credentials,
    fields: impl Iterator<Item = &'f [u8]>,
    body: impl Iterator<Item = &'f [u8]>,
) -> String {
    // A key of any length is accepted, so this never fails.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(credentials.secret_key.as_bytes()) else { return String::new() };
    for part in fields.chain(body) {
        mac.update(part);
    }
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}
