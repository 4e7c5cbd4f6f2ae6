//! Files that backups are, and the keys that open them. Compiled in here by
//! itself, as the configuration is.

use std::io::{Read, Write};

use crate::age::{Decryptor, Encryptor, Identity, Recipient, read_identities, read_recipients};
use crate::entropy::{Entropy, NoEntropy};
use crate::targets::text;

/// The same bytes each time.
struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), NoEntropy> {
        buffer.fill(7);
        Ok(())
    }
}

fn identity() -> Identity {
    Identity::new([9; 32])
}

fn opened(file: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    Decryptor::new(file, &[identity()])
        .ok()?
        .read_to_end(&mut content)
        .ok()?;
    assert!(content.len() <= file.len(), "more came out than went in");
    Some(content)
}

/// A file that stands in the corpus.
pub fn seed() -> Vec<u8> {
    sealed(b"what a backup holds")
}

fn sealed(content: &[u8]) -> Vec<u8> {
    let to = [identity().recipient().unwrap()];
    let mut file = Encryptor::new(Vec::new(), &to, &Fixed).unwrap();
    file.write_all(content).unwrap();
    file.finish().unwrap()
}

pub fn age(data: &[u8]) {
    opened(data);
    let text = text(data);
    for recipient in read_recipients(text).into_iter().flatten() {
        assert!(recipient.to_string().parse::<Recipient>().unwrap() == recipient);
    }
    for identity in read_identities(text).into_iter().flatten() {
        let again = read_identities(&identity.to_text()).unwrap();
        assert!(again[0].recipient() == identity.recipient());
    }
    // What was sealed comes out, and nothing else does.
    let mut file = sealed(data);
    assert!(opened(&file).as_deref() == Some(data));
    let at = data
        .iter()
        .fold(0, |sum, byte| (sum * 31 + usize::from(*byte)) % file.len());
    file[at] ^= 1 << (data.len() % 8);
    assert!(opened(&file).is_none(), "byte {at} was changed");
}
