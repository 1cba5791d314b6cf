//! RS256 by the runtime's WebCrypto, which signs because RSA in Rust is larger and slower and carries
//! an open timing advisory.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    #[error("the private key is neither a PKCS#1 nor a PKCS#8 PEM")]
    Pem,
    #[error("failed to sign: {0}")]
    Sign(String),
    #[error("failed to seal")]
    Seal,
    #[error("failed to open: the text was sealed with another key, for another place, or changed")]
    Open,
    #[error("no random bits could be had")]
    Random(#[from] getrandom::Error),
}

impl From<JsValue> for CryptoError {
    fn from(thrown: JsValue) -> Self {
        Self::Sign(format!("{thrown:?}"))
    }
}

/// `AlgorithmIdentifier` of rsaEncryption (RFC 8017, A.1), which PKCS#8 puts before a PKCS#1 key.
const RSA_ALGORITHM: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// Signs with RSASSA-PKCS1-v1_5 and SHA-256; the result is base64url, as a JWT wants it.
pub async fn sign_rs256(pem: &str, text: &str) -> Result<String, CryptoError> {
    let key = pkcs8(pem)?;
    let subtle = Reflect::get(&js_sys::global(), &"crypto".into())
        .and_then(|crypto| Reflect::get(&crypto, &"subtle".into()))?;
    let algorithm = Object::new();
    Reflect::set(&algorithm, &"name".into(), &"RSASSA-PKCS1-v1_5".into())?;
    Reflect::set(&algorithm, &"hash".into(), &"SHA-256".into())?;
    let usages = Array::of1(&"sign".into());
    let key = call(
        &subtle,
        "importKey",
        &[
            "pkcs8".into(),
            Uint8Array::from(key.as_slice()).into(),
            algorithm.clone().into(),
            false.into(),
            usages.into(),
        ],
    )
    .await?;
    let signature = call(
        &subtle,
        "sign",
        &[
            algorithm.into(),
            key,
            Uint8Array::from(text.as_bytes()).into(),
        ],
    )
    .await?;
    Ok(URL_SAFE_NO_PAD.encode(Uint8Array::new(&signature).to_vec()))
}

async fn call(
    target: &JsValue,
    method: &str,
    arguments: &[JsValue],
) -> Result<JsValue, CryptoError> {
    let function: js_sys::Function = Reflect::get(target, &method.into())?.unchecked_into();
    let arguments: Array = arguments.iter().collect();
    let promise: Promise = Reflect::apply(&function, target, &arguments)?.unchecked_into();
    Ok(JsFuture::from(promise).await?)
}

/// The key's PKCS#8 bytes. GitHub hands out PKCS#1, which WebCrypto does not import.
fn pkcs8(pem: &str) -> Result<Vec<u8>, CryptoError> {
    let body: String = pem
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("-----"))
        .collect();
    let der = STANDARD.decode(body).map_err(|_| CryptoError::Pem)?;
    if pem.contains("BEGIN PRIVATE KEY") {
        Ok(der)
    } else if pem.contains("BEGIN RSA PRIVATE KEY") {
        let key = element(0x04, &der);
        let version = [0x02, 0x01, 0x00];
        Ok(element(0x30, &[&version[..], RSA_ALGORITHM, &key].concat()))
    } else {
        Err(CryptoError::Pem)
    }
}

/// One DER element: tag, length, content (X.690, 8.1).
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => bytes.push(short),
        _ => {
            let digits: Vec<u8> = length
                .to_be_bytes()
                .into_iter()
                .skip_while(|byte| *byte == 0)
                .collect();
            bytes.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
            bytes.extend(digits);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_pkcs1_key_is_wrapped_as_openssl_wraps_it() {
        // A key of 200 bytes: long enough for a two-byte length.
        let der = vec![0x30; 200];
        let pem = format!(
            "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
            STANDARD.encode(&der)
        );
        let wrapped = pkcs8(&pem).unwrap();
        let inner = [&[0x02, 1, 0][..], RSA_ALGORITHM, &[0x04, 0x81, 200], &der].concat();
        assert_eq!(wrapped, [&[0x30, 0x81, 221][..], &inner].concat());
    }

    fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let mut child = Command::new("openssl")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "openssl {arguments:?}");
        output.stdout
    }

    #[test]
    fn both_forms_of_a_key_that_openssl_made_are_the_same_key() {
        let pkcs1 = openssl(&["genrsa", "-traditional", "2048"], b"");
        let convert = ["pkcs8", "-topk8", "-nocrypt"];
        let pkcs8_pem = openssl(&convert, &pkcs1);
        let der = openssl(&[&convert[..], &["-outform", "DER"]].concat(), &pkcs1);
        for pem in [pkcs1, pkcs8_pem] {
            let pem = String::from_utf8(pem).unwrap();
            assert!(pem.starts_with("-----BEGIN "));
            assert_eq!(pkcs8(&pem).unwrap(), der);
        }
    }

    #[test]
    fn other_text_is_no_key() {
        assert!(matches!(pkcs8("hello"), Err(CryptoError::Pem)));
    }
}
