//! Mechanisms of a vendor's own in front of a target that has none: SM2 and
//! GOST R 34.10-2012.
//!
//! A key of theirs is a P-256 key of the target, which lends it its label,
//! its login, its sessions and its deletion; and a file beside the rules,
//! named by the key's id, which tells what the key is.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::ptr;
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cryptoki_sys::*;
use elliptic_curve::sec1::ToSec1Point;
use elliptic_curve::{NonZeroScalar, PrimeField, SecretKey};
use sm2::dsa::SigningKey;
use sm2::dsa::signature::Signer;
use sm2::dsa::signature::hazmat::PrehashSigner;
use stella_core::alg::gost3410::{self, CryptoProA};
use stella_core::alg::sm2_p256::USER_ID;
use streebog::{Digest, Streebog256};

use crate::rules::{Offer, control, offers};
use crate::target::target;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sm2,
    Gost,
}

type Functions = &'static CK_FUNCTION_LIST;

fn functions() -> Option<Functions> {
    target().map(|target| &target.functions)
}

/// # Safety
/// The arguments are those of `C_GenerateKeyPair`.
#[allow(clippy::too_many_arguments)]
pub unsafe fn generate(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    public: *mut CK_ATTRIBUTE,
    public_count: CK_ULONG,
    private: *mut CK_ATTRIBUTE,
    private_count: CK_ULONG,
    public_key: *mut CK_OBJECT_HANDLE,
    private_key: *mut CK_OBJECT_HANDLE,
) -> Option<CK_RV> {
    // SAFETY: null, or the caller's mechanism.
    let asked = unsafe { mechanism.as_ref() }?;
    let kind = offered("C_GenerateKeyPair", asked.mechanism)?.kind;
    let functions = functions()?;
    let make = functions.C_GenerateKeyPair?;
    // SAFETY: the templates are as long as the caller says.
    let [public, private] = unsafe { [array(public, public_count), array(private, private_count)] };
    // SAFETY: their values are too.
    let (id, refused) = unsafe { (value(public, CKA_ID), refusal(kind, public)) };
    if let Some(rv) = refused {
        return Some(rv);
    }
    let Some(id) = id else {
        return Some(CKR_TEMPLATE_INCOMPLETE);
    };
    let secret = match secret(functions, session, kind) {
        Ok(secret) => secret,
        Err(rv) => return Some(rv),
    };
    let mut params = P256_PARAMS.to_vec();
    let mut public: Vec<CK_ATTRIBUTE> = lent(public);
    public.push(CK_ATTRIBUTE {
        type_: CKA_EC_PARAMS,
        pValue: params.as_mut_ptr().cast(),
        ulValueLen: params.len() as CK_ULONG,
    });
    let mut private: Vec<CK_ATTRIBUTE> = lent(private);
    let mut mechanism = CK_MECHANISM {
        mechanism: CKM_EC_KEY_PAIR_GEN,
        pParameter: ptr::null_mut(),
        ulParameterLen: 0,
    };
    // SAFETY: everything handed over lives until it returns.
    let rv = unsafe {
        make(
            session,
            &mut mechanism,
            public.as_mut_ptr(),
            public.len() as CK_ULONG,
            private.as_mut_ptr(),
            private.len() as CK_ULONG,
            public_key,
            private_key,
        )
    };
    if rv == CKR_OK && keep(id, kind, &secret).is_none() {
        return Some(CKR_DEVICE_MEMORY);
    }
    Some(rv)
}

/// # Safety
/// The arguments are those of `C_SignInit`.
pub unsafe fn sign_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    object: CK_OBJECT_HANDLE,
) -> Option<CK_RV> {
    // SAFETY: null, or the caller's mechanism.
    let asked = unsafe { mechanism.as_ref() }?;
    let offer = offered("C_SignInit", asked.mechanism);
    let key = match key(session, object) {
        Ok(key) => key,
        Err(rv) => return offer.map(|_| rv),
    };
    let rv = match (offer, key) {
        (None, None) => return None,
        (None, Some(_)) => refused_by_target(session, asked.mechanism),
        (Some(offer), Some(key)) if offer.kind == key.kind && key.private => {
            if asked.ulParameterLen != 0 {
                return Some(CKR_MECHANISM_PARAM_INVALID);
            }
            let mut operations = operations();
            if operations.contains_key(&session) {
                return Some(CKR_OPERATION_ACTIVE);
            }
            let hashes = offer.hashes;
            operations.insert(session, Operation { object, hashes });
            CKR_OK
        }
        (Some(_), _) => CKR_KEY_TYPE_INCONSISTENT,
    };
    Some(rv)
}

/// # Safety
/// The arguments are those of `C_Sign`.
pub unsafe fn sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    length: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_length: *mut CK_ULONG,
) -> Option<CK_RV> {
    let operation = operations().remove(&session)?;
    // The session may be closed by now, the key deleted, the user logged out.
    let key = match key(session, operation.object) {
        Ok(Some(key)) => key,
        Ok(None) => return Some(CKR_KEY_HANDLE_INVALID),
        Err(rv) => return Some(rv),
    };
    // SAFETY: null, or where the caller keeps the length.
    let Some(room) = (unsafe { signature_length.as_mut() }) else {
        return Some(CKR_ARGUMENTS_BAD);
    };
    if !operation.hashes && length != DIGEST as CK_ULONG {
        return Some(CKR_DATA_LEN_RANGE);
    }
    let enough = *room >= SIGNATURE as CK_ULONG;
    if signature.is_null() || !enough {
        *room = SIGNATURE as CK_ULONG;
        // The operation goes on after these answers alone.
        operations().insert(session, operation);
        return Some(if signature.is_null() {
            CKR_OK
        } else {
            CKR_BUFFER_TOO_SMALL
        });
    }
    // SAFETY: as long as the caller says.
    let data = unsafe { array(data, length) };
    let random = || random(functions().ok_or(CKR_GENERAL_ERROR)?, session);
    let made = match key.kind {
        Kind::Sm2 => sign_sm2(&key.secret, data, operation.hashes),
        Kind::Gost => sign_gost(&key.secret, data, operation.hashes, random),
    };
    let Some(made) = made else {
        return Some(CKR_FUNCTION_FAILED);
    };
    *room = SIGNATURE as CK_ULONG;
    // SAFETY: there is room for it, as was just seen.
    unsafe { ptr::copy_nonoverlapping(made.as_ptr(), signature, SIGNATURE) };
    Some(CKR_OK)
}

/// # Safety
/// The arguments are those of `C_GetAttributeValue`.
pub unsafe fn attributes(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> Option<CK_RV> {
    let key = key(session, object).ok()??;
    let ask = functions()?.C_GetAttributeValue?;
    let mut worst = CKR_OK;
    for i in 0..usize::try_from(count).ok()? {
        // SAFETY: the template is as long as the caller says; so are its
        // values.
        let rv = unsafe {
            let attribute = template.add(i);
            match key.shows((*attribute).type_) {
                Shown::OfTarget => ask(session, object, attribute, 1),
                Shown::Absent => {
                    (*attribute).ulValueLen = CK_UNAVAILABLE_INFORMATION;
                    CKR_ATTRIBUTE_TYPE_INVALID
                }
                Shown::This(value) => fill(&mut *attribute, &value),
            }
        };
        if rv != CKR_OK {
            worst = rv;
        }
    }
    Some(worst)
}

/// The session is being closed: what was begun in it is over.
pub fn forget(session: CK_SESSION_HANDLE) {
    operations().remove(&session);
}

#[derive(Clone, Copy)]
struct Operation {
    object: CK_OBJECT_HANDLE,
    hashes: bool,
}

fn operations() -> MutexGuard<'static, BTreeMap<CK_SESSION_HANDLE, Operation>> {
    static OPERATIONS: Mutex<BTreeMap<CK_SESSION_HANDLE, Operation>> = Mutex::new(BTreeMap::new());
    OPERATIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Key {
    kind: Kind,
    private: bool,
    secret: [u8; DIGEST],
}

/// What is told of an attribute.
enum Shown {
    OfTarget,
    Absent,
    This(Vec<u8>),
}

impl Key {
    fn shows(&self, attribute: CK_ATTRIBUTE_TYPE) -> Shown {
        match (attribute, self.kind) {
            (CKA_KEY_TYPE, kind) => Shown::This(key_type(kind).to_ne_bytes().to_vec()),
            (CKA_EC_PARAMS, Kind::Sm2) => Shown::This(SM2_PARAMS.to_vec()),
            (CKA_GOSTR3410_PARAMS, Kind::Gost) => Shown::This(GOST_PARAMS.to_vec()),
            (CKA_GOSTR3411_PARAMS, Kind::Gost) => Shown::This(STREEBOG_PARAMS.to_vec()),
            (CKA_EC_POINT, Kind::Sm2) if !self.private => {
                let point = sm2_point(&self.secret).unwrap_or_default();
                Shown::This([&[0x04, 65][..], &point].concat())
            }
            (CKA_VALUE, Kind::Gost) if !self.private => {
                Shown::This(gost_public(&self.secret).unwrap_or_default())
            }
            (CKA_EC_PARAMS | CKA_EC_POINT | CKA_PUBLIC_KEY_INFO, _) => Shown::Absent,
            _ => Shown::OfTarget,
        }
    }
}

/// `None` where it is a key of the target alone.
fn key(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Result<Option<Key>, CK_RV> {
    let Some(folder) = folder().filter(|folder| folder.is_dir()) else {
        return Ok(None);
    };
    let ask = functions().and_then(|functions| functions.C_GetAttributeValue);
    let ask = ask.ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
    let (mut class, mut id): (CK_ULONG, _) = (0, [0_u8; 255]);
    let mut template = [
        CK_ATTRIBUTE {
            type_: CKA_CLASS,
            pValue: ptr::from_mut(&mut class).cast(),
            ulValueLen: size_of::<CK_ULONG>() as CK_ULONG,
        },
        CK_ATTRIBUTE {
            type_: CKA_ID,
            pValue: id.as_mut_ptr().cast(),
            ulValueLen: id.len() as CK_ULONG,
        },
    ];
    // SAFETY: both have the room that they say.
    let rv = unsafe { ask(session, object, template.as_mut_ptr(), 2) };
    match rv {
        CKR_OK => {}
        // Not a key.
        CKR_ATTRIBUTE_TYPE_INVALID => return Ok(None),
        _ => return Err(rv),
    }
    let length = usize::try_from(template[1].ulValueLen).unwrap_or_default();
    let id = id.get(..length).unwrap_or_default();
    let Ok(kept) = fs::read(folder.join(hexadecimal(id))) else {
        return Ok(None);
    };
    let kind = match kept.first() {
        Some(b's') => Kind::Sm2,
        _ => Kind::Gost,
    };
    let secret = kept.get(1..).and_then(|secret| secret.try_into().ok());
    let secret = secret.ok_or(CKR_DEVICE_ERROR)?;
    let private = class == CKO_PRIVATE_KEY;
    Ok(Some(Key {
        kind,
        private,
        secret,
    }))
}

fn keep(id: &[u8], kind: Kind, secret: &[u8; DIGEST]) -> Option<()> {
    let folder = folder()?;
    fs::create_dir_all(&folder).ok()?;
    let kind = match kind {
        Kind::Sm2 => b's',
        Kind::Gost => b'g',
    };
    fs::write(folder.join(hexadecimal(id)), [&[kind][..], secret].concat()).ok()
}

fn folder() -> Option<PathBuf> {
    control().map(|file| file.with_extension("keys"))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn offered(function: &str, mechanism: CK_MECHANISM_TYPE) -> Option<Offer> {
    let mut all = offers(function).into_iter();
    all.find(|offer| offer.number == mechanism)
}

fn key_type(kind: Kind) -> CK_ULONG {
    let told = offers("C_GetAttributeValue");
    let told = told.into_iter().find(|offer| offer.kind == kind);
    told.map_or(
        match kind {
            Kind::Sm2 => CKK_EC,
            Kind::Gost => CKK_GOSTR3410,
        },
        |offer| offer.number,
    )
}

/// Of a mechanism that is not for these keys: the target has it, or has not.
fn refused_by_target(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_TYPE) -> CK_RV {
    let functions = functions().map(|functions| (functions.C_GetSessionInfo, functions.C_GetMechanismInfo));
    let Some((Some(session_info), Some(mechanism_info))) = functions else {
        return CKR_MECHANISM_INVALID;
    };
    let mut info = CK_SESSION_INFO::default();
    let mut known = CK_MECHANISM_INFO::default();
    // SAFETY: room for what they answer.
    unsafe {
        match session_info(session, &mut info) {
            CKR_OK => match mechanism_info(info.slotID, mechanism, &mut known) {
                CKR_OK => CKR_KEY_TYPE_INCONSISTENT,
                rv => rv,
            },
            rv => rv,
        }
    }
}

/// # Safety
/// The values of the template are as long as it says.
unsafe fn refusal(kind: Kind, template: &[CK_ATTRIBUTE]) -> Option<CK_RV> {
    let needed: &[(CK_ATTRIBUTE_TYPE, &[u8])] = match kind {
        Kind::Sm2 => &[(CKA_EC_PARAMS, SM2_PARAMS)],
        Kind::Gost => &[
            (CKA_GOSTR3410_PARAMS, GOST_PARAMS),
            (CKA_GOSTR3411_PARAMS, STREEBOG_PARAMS),
        ],
    };
    for (attribute, right) in needed {
        // SAFETY: the caller's promise.
        match unsafe { value(template, *attribute) } {
            None => return Some(CKR_TEMPLATE_INCOMPLETE),
            Some(value) if value != *right => return Some(CKR_CURVE_NOT_SUPPORTED),
            Some(_) => {}
        }
    }
    None
}

/// What of a template is handed to the target.
fn lent(template: &[CK_ATTRIBUTE]) -> Vec<CK_ATTRIBUTE> {
    let own = [
        CKA_KEY_TYPE,
        CKA_EC_PARAMS,
        CKA_GOSTR3410_PARAMS,
        CKA_GOSTR3411_PARAMS,
    ];
    let lent = template
        .iter()
        .filter(|attribute| !own.contains(&attribute.type_));
    lent.copied().collect()
}

/// # Safety
/// The values of the template are as long as it says.
unsafe fn value(template: &[CK_ATTRIBUTE], which: CK_ATTRIBUTE_TYPE) -> Option<&[u8]> {
    let attribute = template.iter().find(|attribute| attribute.type_ == which)?;
    // SAFETY: the caller's promise.
    Some(unsafe { array(attribute.pValue.cast(), attribute.ulValueLen) })
}

/// # Safety
/// There are so many at that place, for as long as the answer is used.
unsafe fn array<'a, T>(first: *mut T, count: CK_ULONG) -> &'a [T] {
    match usize::try_from(count) {
        // SAFETY: the caller's promise.
        Ok(count) if !first.is_null() => unsafe { slice::from_raw_parts(first, count) },
        _ => &[],
    }
}

/// # Safety
/// The attribute has the room that it says.
unsafe fn fill(attribute: &mut CK_ATTRIBUTE, value: &[u8]) -> CK_RV {
    let length = value.len() as CK_ULONG;
    if !attribute.pValue.is_null() {
        if attribute.ulValueLen < length {
            attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
            return CKR_BUFFER_TOO_SMALL;
        }
        // SAFETY: the caller's promise, and that it is enough.
        unsafe { ptr::copy_nonoverlapping(value.as_ptr(), attribute.pValue.cast(), value.len()) };
    }
    attribute.ulValueLen = length;
    CKR_OK
}

fn random(functions: Functions, session: CK_SESSION_HANDLE) -> Result<[u8; DIGEST], CK_RV> {
    let fill = functions.C_GenerateRandom.ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
    let mut bytes = [0; DIGEST];
    // SAFETY: room for so many.
    match unsafe { fill(session, bytes.as_mut_ptr(), DIGEST as CK_ULONG) } {
        CKR_OK => Ok(bytes),
        rv => Err(rv),
    }
}

fn secret(functions: Functions, session: CK_SESSION_HANDLE, kind: Kind) -> Result<[u8; DIGEST], CK_RV> {
    loop {
        let secret = random(functions, session)?;
        let good = match kind {
            Kind::Sm2 => sm2_point(&secret).is_some(),
            Kind::Gost => gost_public(&secret).is_some(),
        };
        if good {
            return Ok(secret);
        }
    }
}

/// `04 || x || y`.
fn sm2_point(secret: &[u8]) -> Option<Vec<u8>> {
    let secret = sm2::SecretKey::from_slice(secret).ok()?;
    Some(secret.public_key().to_sec1_point(false).as_bytes().to_vec())
}

/// `r || s`.
fn sign_sm2(secret: &[u8], data: &[u8], hashes: bool) -> Option<Vec<u8>> {
    let key = SigningKey::new(USER_ID, &sm2::SecretKey::from_slice(secret).ok()?).ok()?;
    let signature: sm2::dsa::Signature = if hashes {
        key.try_sign(data).ok()?
    } else {
        key.sign_prehash(data).ok()?
    };
    Some(signature.to_bytes().to_vec())
}

/// x and then y, little-endian.
fn gost_public(secret: &[u8]) -> Option<Vec<u8>> {
    let secret = SecretKey::<CryptoProA>::from_slice(secret).ok()?;
    let point = secret.public_key().to_sec1_point(false);
    let halves = point.as_bytes().get(1..)?.chunks(DIGEST);
    Some(halves.flat_map(|half| half.iter().rev().copied()).collect())
}

/// `r || s`, big-endian.
fn sign_gost(
    secret: &[u8],
    data: &[u8],
    hashes: bool,
    random: impl Fn() -> Result<[u8; DIGEST], CK_RV>,
) -> Option<Vec<u8>> {
    let d = SecretKey::<CryptoProA>::from_slice(secret)
        .ok()?
        .to_nonzero_scalar();
    let digest: [u8; DIGEST] = if hashes {
        Streebog256::digest(data).into()
    } else {
        data.try_into().ok()?
    };
    let e = gost3410::digest_scalar::<CryptoProA>(&digest);
    loop {
        let k = NonZeroScalar::<CryptoProA>::from_repr(random().ok()?.into()).into_option();
        if let Some((r, s)) = k.and_then(|k| gost3410::sign(&d, &e, &k)) {
            let [r, s]: [[u8; DIGEST]; 2] = [r, s].map(|half| half.to_repr().into());
            return Some([r, s].concat());
        }
    }
}

/// Of each digest, each half of a signature, and each secret.
const DIGEST: usize = 32;
const SIGNATURE: usize = 2 * DIGEST;

/// DER of the OIDs 1.2.840.10045.3.1.7, 1.2.156.10197.1.301, 1.2.643.2.2.35.1
/// and 1.2.643.7.1.1.2.2.
const P256_PARAMS: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const SM2_PARAMS: &[u8] = &[0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];
const GOST_PARAMS: &[u8] = &[0x06, 0x07, 0x2a, 0x85, 0x03, 0x02, 0x02, 0x23, 0x01];
const STREEBOG_PARAMS: &[u8] = &[0x06, 0x08, 0x2a, 0x85, 0x03, 0x07, 0x01, 0x01, 0x02, 0x02];
