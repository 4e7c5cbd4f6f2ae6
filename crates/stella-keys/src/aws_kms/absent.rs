//! The store in a build without it: nobody can have one.

use std::sync::Arc;

use stella_core::alg::{Algorithm, PublicKey};

use super::{Alias, AwsKmsOptions, FoundKey, KmsKeyRef, StartError};
use crate::{GenerateError, Sign, SignError, StoreDescription};

pub enum AwsKms {}

pub enum AwsKmsKey {}

impl AwsKms {
    pub fn start(_: AwsKmsOptions) -> Result<Self, StartError> {
        Err(StartError::NotInThisBuild)
    }

    pub fn find(&self, _: &KmsKeyRef) -> Result<Option<FoundKey>, SignError> {
        match *self {}
    }

    pub fn create(&self, _: Algorithm, _: &Alias, _: &str) -> Result<FoundKey, GenerateError> {
        match *self {}
    }

    pub fn key(self: &Arc<Self>, _: &KmsKeyRef, _: PublicKey) -> Result<AwsKmsKey, SignError> {
        match **self {}
    }
}

impl Sign for AwsKmsKey {
    fn public_key(&self) -> &PublicKey {
        match *self {}
    }

    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        match *self {}
    }

    fn describe(&self) -> StoreDescription {
        match *self {}
    }
}
